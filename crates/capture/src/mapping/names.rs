//! Names in a mapping that nothing has: what programs read of rows without such a column or place.

use std::collections::BTreeMap;

use toml::Spanned;

use super::file::AggregateFile;
use super::{Direction, Mapping, MappingError};
use crate::jq::{Misreading, Place, Programmed, misread};

/// Fails at the first name that is on none of the rows that a program reads it of.
pub(super) fn check(
    text: &str,
    mapping: &Mapping,
    files: &[(&String, &Spanned<AggregateFile>)],
    definitions: &str,
) -> Result<(), MappingError> {
    let programs: Vec<Programmed<'_>> = mapping
        .aggregates
        .iter()
        .zip(files)
        .map(|(aggregate, (_, file))| {
            let places = aggregate.nodes.iter().map(|node| {
                let table = &mapping.tables[node.table];
                let below = node.children.iter().map(|&child| {
                    let place = &aggregate.nodes[child];
                    let several = place.edge.is_some_and(|edge| edge.direction == Direction::Many);
                    (place.field.clone(), (child, several))
                });
                Place {
                    table: table.name.clone(),
                    columns: table.columns.keys().cloned().collect(),
                    below: below.collect::<BTreeMap<_, _>>(),
                }
            });
            let program = file.get_ref().jq.program.get_ref();
            Programmed { program, places: places.collect() }
        })
        .collect();
    // The programs were compiled before: whatever cannot be read was said then.
    let Ok(found) = misread(definitions, &programs) else { return Ok(()) };
    let Some(first) = found.into_iter().next() else { return Ok(()) };
    let (place, written, from) = match first.program {
        None => ("jq.defs".to_owned(), definitions, 0),
        Some(index) => {
            let (name, file) = files[index];
            let program = &file.get_ref().jq.program;
            let place = format!("aggregates.{}.jq", super::check::quoted(name));
            (place, program.get_ref().as_str(), program.span().start)
        }
    };
    // A text with escapes does not stand in the file as it is: then only where it begins is known.
    let begins = text.get(from..).and_then(|rest| rest.find(written));
    let at = begins.map_or(from, |begins| from + begins + first.at);
    let (line, column) = position(text, at);
    Err(MappingError::Misread { line, column, place, problem: problem(&first) })
}

fn problem(misreading: &Misreading) -> String {
    let Misreading { name, tables, known, .. } = misreading;
    if tables.is_empty() {
        return format!("`{name}` is read of a list of rows: put `[]` before it");
    }
    let meant = meant(name, known.iter().map(String::as_str));
    let tables: Vec<String> = tables.iter().map(|table| format!("`{table}`")).collect();
    format!(
        "`{name}` is no column that is kept of {} and no place in `rows`{meant}",
        tables.join(" or ")
    )
}

/// Line and column, both from 1, the column in characters.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (1 + before.matches('\n').count(), 1 + line.chars().count())
}

/// The end of a message about a name that is not there: what may be meant, if anything.
pub(super) fn meant<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let meant = nearest(name, known).map(|meant| format!("; did you mean `{meant}`?"));
    meant.unwrap_or_default()
}

/// The name that is most like another, if any is at all: case and a third of the letters may
/// differ.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&folded, &other.to_lowercase());
    let near = known.into_iter().map(|other| (distance(other), other));
    let near = near.filter(|(distance, _)| *distance <= name.chars().count().div_ceil(3));
    near.min().map(|(_, other)| other)
}
