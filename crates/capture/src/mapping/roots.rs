//! Several aggregates of one root, and several roots of one command: what keeps their ids, their
//! references and their erasure apart.

use super::file::AggregateFile;
use super::{AggregateId, Mapping, TableId};

/// The command that imports a person. Only persons that were imported by it can be erased.
pub(crate) const PERSON: &str = "customers.SyncCustomer";

/// What is wrong with the ids of an aggregate, next to those before it.
pub(super) fn mistake(file: &AggregateFile, root: TableId, mapping: &Mapping) -> Option<String> {
    let others = || mapping.aggregates.iter();
    let Some(ids) = file.ids.as_ref().map(|ids| ids.get_ref()) else {
        let same_root = others().find(|other| other.root == root && other.ids.is_none());
        let same_command =
            others().find(|other| other.command == file.command && other.ids.is_none());
        let shared = match (same_root, same_command) {
            (Some(other), _) => {
                format!("`{}` is the root of aggregate `{}`", file.root, other.name)
            }
            (None, Some(other)) => {
                format!("`{}` is the command of aggregate `{}`", file.command, other.name)
            }
            (None, None) => return None,
        };
        return Some(format!("{shared} already: give one of the two `ids` of its own"));
    };
    if ids.is_empty() || ids.contains('/') {
        return Some("`ids` is a name without `/`: it is part of every id".to_owned());
    }
    if mapping.table_ids.contains_key(ids) {
        return Some(format!("`ids` is `{ids}`, which is the name of a table: take another name"));
    }
    let other = others().find(|other| other.ids.as_deref() == Some(ids.as_str()))?;
    Some(format!("`ids` is `{ids}`, as in aggregate `{}`: ids would meet", other.name))
}

/// A person whose root row is another aggregate's, too, loses its `personal` columns only, so that
/// the other goes on. Finds one of whom an erasure would leave something.
pub(super) fn unerasable(mapping: &Mapping) -> Option<(AggregateId, String)> {
    for (id, person) in mapping.aggregates.iter().enumerate() {
        let others = mapping.rooted_in(person.root).filter(|other| *other != id);
        let others: Vec<_> = others.map(|other| &mapping.aggregates[other]).collect();
        let Some(other) = others.first().filter(|_| person.command == PERSON) else { continue };
        let table = &mapping.tables[person.root];
        if let Some(owned) = person.nodes.iter().find(|node| node.is_owned()) {
            let problem = format!(
                "the root is that of `{}`, too, so the rows at `{}` would be taken for the person's \
                 and emptied by an erasure: leave them out, or take a table with one row per person for \
                 the root",
                other.name, owned.path
            );
            return Some((id, problem));
        }
        let hidden = |column: &String| {
            let mut below = person.nodes[0].children.iter();
            below.any(|&child| person.nodes[child].field == *column)
        };
        let left = table.columns.keys().filter(|column| !hidden(column)).find(|column| {
            let only_here = person.program.mentions(column)
                && !others.iter().any(|other| other.program.mentions(column));
            only_here
                && !table.personal.contains(*column)
                && !table.key.contains(column)
                && !table.joins(column)
        });
        if let Some(column) = left {
            let problem = format!(
                "the root is that of `{}`, too, so an erasure empties the `personal` columns only: \
                 add `{column}` to tables.{}.personal",
                other.name,
                super::check::quoted(&table.name)
            );
            return Some((id, problem));
        }
    }
    None
}
