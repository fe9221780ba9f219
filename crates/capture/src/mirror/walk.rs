//! Finds the aggregates to which a changed row belongs.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use database::{DatabaseError, Transaction};

use super::row::Row;
use super::{Mirror, Root, RowId, Touched, image};
use crate::mapping::{AggregateId, Direction, Node, NodeId};

/// A row at its place in a kind of document.
type At = (AggregateId, NodeId, String);

impl Mirror {
    /// Adds the aggregates to which changed rows belong, by the side of each row that `side` selects
    /// and by the current state of the other rows in the mirror.
    pub(super) async fn owners(
        &mut self,
        reading: &mut Transaction,
        touched: &[Touched],
        side: impl Fn(&Touched) -> Option<&Arc<Row>>,
        roots: &mut BTreeSet<Root>,
    ) -> Result<(), DatabaseError> {
        let mapping = self.mapping.clone();
        let mut frontier: Vec<(At, Arc<Row>)> = Vec::new();
        for touched in touched {
            let Some(row) = side(touched) else { continue };
            let (table, key) = &touched.id;
            for &(aggregate, node) in &mapping.tables[*table].uses {
                let place = &mapping.aggregates[aggregate].nodes[node];
                if node == 0 {
                    roots.insert((aggregate, key.clone()));
                } else if row.image.is_some() && self.counts(place, touched) {
                    frontier.push(((aggregate, node, key.clone()), row.clone()));
                }
            }
        }
        let mut seen: HashSet<At> = HashSet::new();
        while !frontier.is_empty() {
            let parents = self.parents(reading, &frontier).await?;
            frontier.clear();
            for parent in parents {
                let (aggregate, node, key) = &parent;
                let table = mapping.aggregates[*aggregate].nodes[*node].table;
                // A missing parent will mark its aggregates when it arrives.
                let Some(row) = self.row(&(table, key.clone())).cloned() else {
                    continue;
                };
                if row.image.is_none() || !seen.insert(parent.clone()) {
                    continue;
                }
                if *node == 0 {
                    roots.insert((*aggregate, key.clone()));
                } else {
                    frontier.push((parent, row));
                }
            }
        }
        Ok(())
    }

    /// Returns whether a change of a row at a place affects the aggregates that contain it. With
    /// `follow = false` only its insertion and deletion do: if its insertion were ignored too, the
    /// result would depend on the order of arrival.
    fn counts(&self, place: &Node, touched: &Touched) -> bool {
        let before = touched.before.as_ref().and_then(image);
        let (Some(before), Some(after)) = (before, image(&touched.after)) else {
            return true;
        };
        if place.follow {
            return true;
        }
        let Some(edge) = place.edge.filter(|edge| edge.direction == Direction::Many) else {
            return false;
        };
        let link = &self.mapping.links[edge.link];
        link.target(before) != link.target(after)
    }

    /// Returns the rows one step nearer to the root, loaded.
    async fn parents(
        &mut self,
        reading: &mut Transaction,
        rows: &[(At, Arc<Row>)],
    ) -> Result<Vec<At>, DatabaseError> {
        let mapping = self.mapping.clone();
        let edge =
            |aggregate: AggregateId, node: NodeId| mapping.aggregates[aggregate].nodes[node].edge;
        let named = rows.iter().filter_map(|((aggregate, node, key), _)| {
            let edge = edge(*aggregate, *node)?;
            (edge.direction == Direction::One).then(|| (edge.link, key.clone()))
        });
        self.load_links(reading, named.collect()).await?;
        let mut parents: Vec<At> = Vec::new();
        for ((aggregate, node, key), row) in rows {
            let Some(edge) = edge(*aggregate, *node) else {
                continue;
            };
            match edge.direction {
                Direction::One => {
                    let named = (edge.link, key.clone());
                    let owners = self.naming(&named);
                    parents.extend(owners.map(|owner| (*aggregate, edge.parent, owner.clone())));
                }
                Direction::Many => {
                    let link = &mapping.links[edge.link];
                    let owner = image(row).and_then(|image| link.target(image));
                    parents.extend(owner.map(|owner| (*aggregate, edge.parent, owner)));
                }
            }
        }
        let ids: Vec<RowId> = parents
            .iter()
            .map(|(aggregate, node, key)| {
                (mapping.aggregates[*aggregate].nodes[*node].table, key.clone())
            })
            .collect();
        self.load_rows(reading, ids).await?;
        Ok(parents)
    }
}
