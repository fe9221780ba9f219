//! Assembles the documents of aggregates from the mirror's rows.

use std::cmp::Ordering;
use std::sync::Arc;

use database::{DatabaseError, Transaction};
use jaq_json::Val;

use crate::jq::{from_json, object};
use crate::mapping::{Aggregate, AggregateId, Direction, Mapping, NodeId};
use crate::mirror::row::Row;
use crate::mirror::{Mirror, RowId};
use crate::numbers;

/// The mirror's state of an aggregate.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// The complete document.
    Document(Val),
    /// Its root row was deleted.
    Deleted,
    /// A row or value is missing. The text names it, without data.
    Waiting(String),
}

/// A row at a place of one document.
struct Instance {
    /// Index of the document.
    document: usize,
    key: String,
    row: Arc<Row>,
    /// The rows at the child places, per child place.
    below: Vec<(NodeId, Vec<usize>)>,
}

/// Number of documents assembled at first; more if they are small.
const FIRST: usize = 50;

/// Assembles aggregates of one kind, in their order, until their rows exceed a number of bytes: at
/// least one. Returns the assembled ones, and adds their bytes.
pub(crate) async fn assemble_within(
    mirror: &mut Mirror,
    reading: &mut Transaction,
    mapping: &Arc<Mapping>,
    (id, keys): (AggregateId, &[String]),
    (bytes, most): (&mut usize, usize),
) -> Result<Vec<Assembled>, DatabaseError> {
    let mut assembled = Vec::with_capacity(keys.len());
    let mut block = FIRST;
    while assembled.len() < keys.len() && (assembled.is_empty() || *bytes < most) {
        let left = &keys[assembled.len()..];
        let before = *bytes;
        let part = assemble(mirror, reading, mapping, id, &left[..block.min(left.len())]).await?;
        for (document, size) in part {
            // The rest is assembled again with the next batch.
            if *bytes < most || assembled.is_empty() {
                *bytes += size;
                assembled.push(document);
            }
        }
        let grown = *bytes - before;
        block = if grown < most / 16 { block * 2 } else { (block / 2).max(1) };
    }
    Ok(assembled)
}

/// Assembles aggregates of one kind, reading the rows of each place at once. Returns the bytes of each,
/// too.
pub(crate) async fn assemble(
    mirror: &mut Mirror,
    reading: &mut Transaction,
    mapping: &Arc<Mapping>,
    id: AggregateId,
    keys: &[String],
) -> Result<Vec<(Assembled, usize)>, DatabaseError> {
    let aggregate = &mapping.aggregates[id];
    let root_table = &mapping.tables[aggregate.root].name;
    mirror.load_rows(reading, keys.iter().map(|key| (aggregate.root, key.clone()))).await?;
    let mut documents: Vec<Assembled> = Vec::with_capacity(keys.len());
    let mut instances: Vec<Instance> = Vec::new();
    let mut at: Vec<Vec<usize>> = vec![Vec::new(); aggregate.nodes.len()];
    let mut roots: Vec<Option<usize>> = vec![None; keys.len()];
    for (document, key) in keys.iter().enumerate() {
        documents.push(match mirror.row(&(aggregate.root, key.clone())) {
            None => Assembled::Waiting(format!("the feed has no row for it in `{root_table}`")),
            Some(row) if row.image.is_none() => Assembled::Deleted,
            Some(row) => {
                roots[document] = Some(instances.len());
                at[0].push(instances.len());
                let (key, row) = (key.clone(), row.clone());
                instances.push(Instance { document, key, row, below: Vec::new() });
                Assembled::Document(Val::Null)
            }
        });
    }
    for node in 1..aggregate.nodes.len() {
        let place = &aggregate.nodes[node];
        let Some(edge) = place.edge else { continue };
        let link = &mapping.links[edge.link];
        let parents = at[edge.parent].clone();
        // Reads first the keys of the child rows, then the rows, for all parents at once.
        let mut below: Vec<(usize, Vec<String>)> = Vec::with_capacity(parents.len());
        match edge.direction {
            Direction::Many => {
                let named =
                    parents.iter().map(|&parent| (edge.link, instances[parent].key.clone()));
                mirror.load_links(reading, named.collect()).await?;
                for parent in parents {
                    let named = (edge.link, instances[parent].key.clone());
                    let mut keys: Vec<String> = mirror.naming(&named).cloned().collect();
                    let composite = mapping.tables[place.table].key.len() > 1;
                    keys.sort_by_cached_key(|key| SortKey::of(key, composite));
                    below.push((parent, keys));
                }
            }
            Direction::One => {
                for parent in parents {
                    let image = instances[parent].row.image.as_ref();
                    let key = image.and_then(|image| link.target(image));
                    below.push((parent, key.into_iter().collect()));
                }
            }
        }
        let ids = below.iter().flat_map(|(_, keys)| keys).map(|key| (place.table, key.clone()));
        let ids: Vec<RowId> = ids.collect();
        mirror.load_rows(reading, ids).await?;
        for (parent, keys) in below {
            let document = instances[parent].document;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                let row = mirror.row(&(place.table, key.clone())).filter(|row| row.image.is_some());
                if let Some(row) = row.cloned() {
                    found.push(instances.len());
                    at[node].push(instances.len());
                    instances.push(Instance { document, key, row, below: Vec::new() });
                } else if place.required {
                    let table = &mapping.tables[place.table].name;
                    let text = format!("`{}`: the feed has no row for it in `{table}`", place.path);
                    documents[document] = Assembled::Waiting(text);
                }
            }
            instances[parent].below.push((node, found));
        }
    }
    for (node, at) in at.iter().enumerate() {
        for instance in at.iter().map(|&instance| &instances[instance]) {
            if let Some(column) = instance.row.unknown() {
                let table = &mapping.tables[aggregate.nodes[node].table].name;
                let text = format!(
                    "the feed has no value of `{table}.{column}`: update the row, or take an \
                     incremental snapshot of it"
                );
                documents[instance.document] = Assembled::Waiting(text);
            }
        }
    }
    let mut sizes = vec![0; keys.len()];
    for instance in &instances {
        sizes[instance.document] += instance.row.in_memory();
    }
    for (document, root) in documents.iter_mut().zip(roots) {
        if let (Assembled::Document(value), Some(root)) = (document, root) {
            *value = build(aggregate, &instances, root);
        }
    }
    Ok(documents.into_iter().zip(sizes).collect())
}

/// Builds a row with its child rows. A place hides the column of the same name.
fn build(aggregate: &Aggregate, instances: &[Instance], at: usize) -> Val {
    let instance = &instances[at];
    let columns = instance.row.image.iter().flatten();
    let columns = columns.map(|(name, value)| (name.as_str(), from_json(value)));
    let places = instance.below.iter().map(|(node, rows)| {
        let place = &aggregate.nodes[*node];
        let mut values = rows.iter().map(|&row| build(aggregate, instances, row));
        let one = place.edge.is_some_and(|edge| edge.direction == Direction::One);
        let value = if one { values.next().unwrap_or_default() } else { values.collect() };
        (place.field.as_str(), value)
    });
    object(columns.chain(places))
}

/// A key to sort by: numbers by value, before texts, part by part.
#[derive(PartialEq, Eq)]
struct SortKey(Vec<SortPart>);

#[derive(PartialEq, Eq)]
struct SortPart {
    text: String,
    /// Most keys are whole numbers: they are parsed once, not for each comparison.
    whole: Option<i128>,
}

impl SortKey {
    fn of(key: &str, composite: bool) -> Self {
        let parts: Option<Vec<String>> =
            composite.then(|| serde_json::from_str(key).ok()).flatten();
        let parts = parts.unwrap_or_else(|| vec![key.to_owned()]).into_iter();
        Self(parts.map(|text| SortPart { whole: text.parse().ok(), text }).collect())
    }
}

impl SortPart {
    fn compare(&self, other: &Self) -> Ordering {
        match (self.whole, other.whole) {
            (Some(one), Some(two)) => one.cmp(&two).then_with(|| self.text.cmp(&other.text)),
            _ => numbers::compare(&self.text, &other.text),
        }
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = self.0.iter().zip(&other.0);
        let mut orders = parts.map(|(one, other)| one.compare(other));
        let first = orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        first.then_with(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
