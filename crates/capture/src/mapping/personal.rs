//! Columns with personal data: to which person they belong, and which of them an erasure would leave
//! behind.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::check::quoted;
use super::{Aggregate, AggregateId, Mapping, MappingError, Mask, Node, NodeId, TableId, roots};
use crate::suppression::{Extent, extent_of_root};

/// A column that becomes a personal field and would be left behind by an erasure.
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
    /// The field, such as `address.city`.
    pub field: String,
}

impl Mapping {
    /// Checks that every table with `personal` columns is joined to a person, whose aggregate has this
    /// command: otherwise an erasure could never reach them.
    pub fn check_ties(&self, person: &str) -> Result<(), MappingError> {
        let people = || self.aggregates.iter().filter(|one| one.command == person);
        let Some(Aggregate { root, name, .. }) = people().next() else { return Ok(()) };
        let is_person = |table| people().any(|one| one.root == table);
        // Aggregates made from a person's row are joined to it as well.
        let names_person = |aggregate: &Aggregate| {
            let mut places = aggregate.nodes.iter();
            is_person(aggregate.root)
                || places.any(|place| is_person(place.table) && place.is_named_by_root())
        };
        // Aggregates that are listed in a joined one are joined, too.
        let mut tied: Vec<bool> = self.aggregates.iter().map(names_person).collect();
        loop {
            let before = tied.clone();
            for (id, aggregate) in self.aggregates.iter().enumerate().filter(|(id, _)| before[*id])
            {
                for place in aggregate.nodes.iter().filter(|place| place.is_owned()) {
                    let roots = self.aggregates.iter().enumerate();
                    let roots =
                        roots.filter(|(other, one)| one.root == place.table && *other != id);
                    roots.for_each(|(other, _)| tied[other] = true);
                }
            }
            if tied == before {
                break;
            }
        }
        let untied = self.tables.iter().find(|table| {
            // A referenced row that is the root of an aggregate is about itself.
            let reached = |&(id, node): &(AggregateId, NodeId)| {
                let place = &self.aggregates[id].nodes[node];
                tied[id] && (node == 0 || place.is_owned() || !table.is_root())
            };
            !table.personal.is_empty() && !table.uses.iter().any(reached)
        });
        let Some(table) = untied else { return Ok(()) };
        Err(MappingError::Invalid {
            line: table.line,
            place: format!("tables.{}", table.name),
            problem: format!(
                "`personal` columns are emptied when the person is erased, but the mapping does not join these \
                 rows to a person: give the aggregate that has them in its root row a place such as \
                 `\"{name}\" = {{ one = \"{person}\", ref = {columns}, follow = false }}`, or list \
                 them by `many` in `{name}`",
                person = self.tables[*root].name,
                columns = match self.tables[*root].key.len() {
                    1 => "\"…\"".to_owned(),
                    several => format!("[{}]", vec!["\"…\""; several].join(", ")),
                },
            ),
        })
    }

    /// Returns the personal columns that an erasure empties: those in `personal`, and in the rows of a
    /// person's own aggregate all that neither identify nor join rows. By table; `people` is the
    /// command that imports a person.
    pub fn personal_columns(&self, people: &str) -> HashMap<String, BTreeSet<String>> {
        let mut personal: HashMap<String, BTreeSet<String>> = HashMap::new();
        for table in &self.tables {
            personal.entry(table.name.clone()).or_default().extend(table.personal.iter().cloned());
        }
        let alone = |root| extent_of_root(self, root) == Extent::Row;
        let people = self.aggregates.iter().filter(|one| one.command == people);
        for aggregate in people.filter(|one| alone(one.root)) {
            // Rows that are the root of an aggregate of their own remain as such.
            let mut whole = vec![true; aggregate.nodes.len()];
            for (index, node) in aggregate.nodes.iter().enumerate() {
                if let Some(edge) = node.edge {
                    let owned = node.is_owned() && !self.tables[node.table].is_root();
                    whole[index] = owned && whole[edge.parent];
                }
            }
            let nodes = aggregate.nodes.iter().zip(whole);
            for node in nodes.filter_map(|(node, whole)| whole.then_some(node)) {
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

    /// Returns the columns that become personal fields, and that an erasure would not empty.
    /// `is_personal` returns whether a command's field, given by its path, is personal. Columns that
    /// cannot be in `personal`, hashed columns, and shared rows (`follow = false`) are not reported.
    pub fn revealed(
        &self,
        people: &str,
        is_personal: &dyn Fn(&str, &str) -> bool,
    ) -> Vec<Revealed> {
        // There are no people to erase.
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

    /// Returns whether a table's rows are in an aggregate only where many share them.
    fn is_shared(&self, aggregate: &Aggregate, table: TableId) -> bool {
        let mut places = aggregate.nodes.iter().filter(|place| place.table == table);
        places.all(|place| !place.follow && !place.is_owned())
    }

    /// A person whose root row is also that of another aggregate keeps the content of the rows to which
    /// it refers, except their `personal` columns. Finds a column of them that no other aggregate
    /// reads.
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
            // Rows that are the root of an aggregate are about themselves.
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
                    "the root is also that of `{}`, so an erasure empties only the `personal` columns \
                     of `{table}`, whose row is at `{}`: add `{column}` to tables.{}.personal, or \
                     set `follow = false` if many people share that row, such as a country",
                    self.aggregates[other].name,
                    place.path,
                    quoted(table)
                ),
            });
        }
        Ok(())
    }

    /// Returns a column at a place that is not emptied and that only this aggregate's program reads.
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
