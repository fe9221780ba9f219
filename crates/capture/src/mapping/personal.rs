//! Which columns may be about a person, and which of them an erasure would leave behind.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::check::quoted;
use super::{Aggregate, AggregateId, Mapping, MappingError, Mask, Node, NodeId, TableId, roots};
use crate::suppression::{Extent, extent_of_root};

/// A column that becomes a field about a person and would be left by an erasure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Revealed {
    /// The line of the table in the mapping.
    pub line: usize,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The aggregate.
    pub aggregate: String,
    /// The field, as `address.city`.
    pub field: String,
}

impl Mapping {
    /// The columns that may be about a person, as an erasure takes them for: those in `personal`,
    /// and of the rows that make up a person's own aggregate all that neither identifies nor joins.
    /// By table; `people` is the command that a person is told by.
    pub fn personal_columns(&self, people: &str) -> HashMap<String, BTreeSet<String>> {
        let mut personal: HashMap<String, BTreeSet<String>> = HashMap::new();
        for table in &self.tables {
            personal.entry(table.name.clone()).or_default().extend(table.personal.iter().cloned());
        }
        let alone = |root| extent_of_root(self, root) == Extent::Row;
        let people = self.aggregates.iter().filter(|one| one.command == people);
        for aggregate in people.filter(|one| alone(one.root)) {
            let own = aggregate.nodes.iter().enumerate();
            for (_, node) in own.filter(|(index, node)| *index == 0 || node.is_owned()) {
                let table = &self.tables[node.table];
                let columns = table.columns.keys();
                let all =
                    columns.filter(|column| !table.key.contains(column) && !table.joins(column));
                personal.entry(table.name.clone()).or_default().extend(all.cloned());
            }
        }
        personal
    }

    /// Calls a function on the value of every column in a document, with its table and name.
    pub fn each_column(
        &self,
        aggregate: &str,
        document: &mut Value,
        change: &mut dyn FnMut(&str, &str, &mut Value),
    ) {
        let aggregate = self.aggregates.iter().find(|one| one.name == aggregate);
        if let Some(aggregate) = aggregate {
            each_column(self, aggregate, 0, document, change);
        }
    }

    /// The columns that become fields about a person, and that an erasure would leave as they are.
    /// `is_personal` says of a command's field, by its path, whether it is. Nothing is said of
    /// columns that cannot be in `personal`, of those that are hashed, and of rows that are shared
    /// (`follow = false`).
    pub fn revealed(
        &self,
        people: &str,
        is_personal: &dyn Fn(&str, &str) -> bool,
    ) -> Vec<Revealed> {
        // Nobody can be erased.
        if !self.aggregates.iter().any(|aggregate| aggregate.command == people) {
            return Vec::new();
        }
        let emptied = self.personal_columns(people);
        let mut revealed = BTreeSet::new();
        for (aggregate, fields) in self.aggregates.iter().zip(&self.made_of) {
            for (field, columns) in fields {
                if !is_personal(&aggregate.command, field) {
                    continue;
                }
                for (table, column) in columns {
                    let shared = self.is_shared(aggregate, *table);
                    let table = &self.tables[*table];
                    let is_emptied =
                        emptied.get(&table.name).is_some_and(|columns| columns.contains(column));
                    if shared || is_emptied || !self.may_be_personal(table, column) {
                        continue;
                    }
                    revealed.insert(Revealed {
                        line: table.line,
                        table: table.name.clone(),
                        column: column.clone(),
                        aggregate: aggregate.name.clone(),
                        field: field.clone(),
                    });
                }
            }
        }
        revealed.into_iter().collect()
    }

    fn may_be_personal(&self, table: &super::Table, column: &String) -> bool {
        let hashed = table.columns.get(column).is_some_and(|column| column.mask == Mask::Hash);
        !hashed && !table.key.contains(column) && !table.joins(column)
    }

    /// Whether a table's rows stand in an aggregate only where they are shared by many.
    fn is_shared(&self, aggregate: &Aggregate, table: TableId) -> bool {
        let mut places = aggregate.nodes.iter().filter(|place| place.table == table);
        places.all(|place| !place.follow && !place.is_owned())
    }

    /// A person whose root row is another aggregate's, too, keeps what the rows that it names say,
    /// but for their `personal` columns. Finds a column of them that nobody else reads.
    pub(super) fn check_named_rows(
        &self,
        line: impl Fn(AggregateId) -> usize,
    ) -> Result<(), MappingError> {
        for (id, person) in self.aggregates.iter().enumerate() {
            let Some(other) = self.rooted_in(person.root).find(|other| *other != id) else {
                continue;
            };
            if person.command != roots::PERSON {
                continue;
            }
            let named = person.nodes.iter().skip(1);
            // Those that are the root of an aggregate are about themselves.
            let named = named.filter(|place| {
                let is_root = self.rooted_in(place.table).next().is_some();
                !place.is_owned() && place.follow && !is_root
            });
            let left =
                named.into_iter().find_map(|place| Some((place, self.only_read_by(id, place)?)));
            let Some((place, column)) = left else { continue };
            let table = &self.tables[place.table].name;
            return Err(MappingError::Invalid {
                line: line(id),
                place: format!("aggregates.{}", quoted(&person.name)),
                problem: format!(
                    "the root is that of `{}`, too, so an erasure empties only the `personal` columns \
                     of `{table}`, whose row stands at `{}`: add `{column}` to tables.{}.personal, or \
                     say `follow = false` if many people share that row, as that of a country",
                    self.aggregates[other].name,
                    place.path,
                    quoted(table)
                ),
            });
        }
        Ok(())
    }

    /// A column at a place that is not emptied and that only this aggregate's program reads.
    fn only_read_by(&self, id: AggregateId, place: &Node) -> Option<&String> {
        let table = &self.tables[place.table];
        let others = self.aggregates.iter().enumerate().filter(|(other, one)| {
            *other != id && one.nodes.iter().any(|node| node.table == place.table)
        });
        let others: Vec<_> = others.map(|(_, one)| one).collect();
        table.columns.keys().find(|column| {
            self.aggregates[id].program.mentions(column)
                && !others.iter().any(|other| other.program.mentions(column))
                && !table.personal.contains(*column)
                && self.may_be_personal(table, column)
        })
    }
}

fn each_column(
    mapping: &Mapping,
    aggregate: &Aggregate,
    node: NodeId,
    value: &mut Value,
    change: &mut dyn FnMut(&str, &str, &mut Value),
) {
    match value {
        Value::Array(rows) => {
            rows.iter_mut().for_each(|row| each_column(mapping, aggregate, node, row, change));
        }
        Value::Object(members) => {
            let place = &aggregate.nodes[node];
            let table = &mapping.tables[place.table].name;
            for (name, value) in members {
                let below =
                    place.children.iter().find(|&&child| aggregate.nodes[child].field == *name);
                match below {
                    Some(&child) => each_column(mapping, aggregate, child, value, change),
                    None => change(table, name, value),
                }
            }
        }
        _ => {}
    }
}
