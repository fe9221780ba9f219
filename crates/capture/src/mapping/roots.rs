//! Several aggregates of one root, and several roots of one command: keeps their ids, their references
//! and their erasure separate.

use super::file::AggregateFile;
use super::{AggregateId, Mapping, TableId};

/// The command that imports a person. Only people imported by it can be erased.
pub(crate) const PERSON: &str = "customers.SyncCustomer";

/// Returns the mistake in the ids of an aggregate, compared with those before it.
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
        return Some(format!("{shared} already: set `ids` in one of the two"));
    };
    if ids.is_empty() || ids.contains('/') {
        return Some("`ids` must be a name without `/`: it is part of every id".to_owned());
    }
    if mapping.table_ids.contains_key(ids) {
        return Some(format!("`ids` is `{ids}`, which is the name of a table: take another name"));
    }
    let other = others().find(|other| other.ids.as_deref() == Some(ids.as_str()))?;
    Some(format!("`ids` is `{ids}`, as in aggregate `{}`: their ids would collide", other.name))
}

/// A person whose root row is also that of another aggregate loses its `personal` columns only, so that
/// the other remains. Finds a person of whom an erasure would leave data.
pub(super) fn unerasable(mapping: &Mapping) -> Option<(AggregateId, String)> {
    for (id, person) in mapping.aggregates.iter().enumerate() {
        let others = mapping.rooted_in(person.root).filter(|other| *other != id);
        let others: Vec<_> = others.map(|other| &mapping.aggregates[other]).collect();
        let Some(other) = others.first().filter(|_| person.command == PERSON) else { continue };
        let table = &mapping.tables[person.root];
        if let Some(owned) = person.nodes.iter().find(|node| node.is_owned()) {
            let problem = format!(
                "the root is also that of `{}`, so the rows at `{}` would be treated as the person's \
                 and emptied by an erasure: leave them out, or use a table with one row per person as \
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
                "the root is also that of `{}`, so an erasure empties the `personal` columns only: \
                 add `{column}` to tables.{}.personal",
                other.name,
                super::check::quoted(&table.name)
            );
            return Some((id, problem));
        }
    }
    None
}
