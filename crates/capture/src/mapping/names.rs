//! Checks the names in programs against the mapping: unknown columns or places, ids of keys with other
//! columns; and finds the columns from which the fields of a state are computed.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::file::AggregateFile;
use super::{Direction, Mapping, MappingError, Misread, NodeId, TableId};
use crate::jq::{self, CompileError, DocumentNode, Misreading, Programmed, Wrong, findings};

/// The columns from which each field of a state is computed, by the field's path.
pub(crate) type Fields = BTreeMap<String, BTreeSet<(TableId, String)>>;

/// Returns an error with all mistakes of the programs, or the columns of the states.
pub(super) fn check(
    text: &str,
    mapping: &Mapping,
    files: &[(&String, &Spanned<AggregateFile>)],
    definitions: &str,
) -> Result<Vec<Fields>, MappingError> {
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
                DocumentNode {
                    table: table.name.clone(),
                    columns: table.columns.keys().cloned().collect(),
                    below: below.collect::<BTreeMap<_, _>>(),
                }
            });
            let program = file.get_ref().jq.program.get_ref();
            Programmed { program, places: places.collect() }
        })
        .collect();
    let keys = mapping.aggregates.iter().map(|aggregate| {
        let columns = mapping.tables[aggregate.root].key.len();
        (mapping.id_name(aggregate).to_owned(), columns)
    });
    // The programs were compiled before: syntax errors were reported then.
    let Ok(found) = findings(definitions, &programs, &keys.collect()) else {
        return Ok(Vec::new());
    };
    if found.wrong.is_empty() {
        let states = found.states.into_iter().zip(&mapping.aggregates);
        return Ok(states
            .map(|(fields, aggregate)| {
                let table =
                    |(node, column): (NodeId, String)| (aggregate.nodes[node].table, column);
                let fields = fields.into_iter();
                fields.map(|(path, of)| (path, of.into_iter().map(table).collect())).collect()
            })
            .collect());
    }
    let misread = found.wrong.iter().map(|wrong| {
        let program = wrong.program.map(|index| {
            let (name, file) = files[index];
            (name.as_str(), &file.get_ref().jq.program)
        });
        misread(text, program, definitions, wrong.at, problem(wrong, mapping))
    });
    Err(MappingError::Misread(misread.collect()))
}

/// Returns the error of a program, or of the shared definitions, that cannot be compiled.
pub(super) fn uncompiled(
    text: &str,
    name: &str,
    program: &Spanned<String>,
    definitions: &str,
    error: CompileError,
) -> MappingError {
    let program = (error.place != jq::DEFS).then_some((name, program));
    MappingError::Misread(vec![misread(text, program, definitions, error.at, error.problem)])
}

/// Returns a mistake at a byte of a program, or of the shared definitions, with its place in the file.
fn misread(
    text: &str,
    program: Option<(&str, &Spanned<String>)>,
    definitions: &str,
    at: usize,
    problem: String,
) -> Misread {
    let (place, written, from) = match program {
        None => (jq::DEFS.to_owned(), definitions, 0),
        Some((name, program)) => {
            let place = format!("aggregates.{}.jq", super::check::quoted(name));
            (place, program.get_ref().as_str(), program.span().start)
        }
    };
    // A text with escapes is written differently in the file: then only its beginning is known.
    let begins = text.get(from..).and_then(|rest| rest.find(written));
    let at = begins.map_or(from, |begins| from + begins + at);
    let (line, column) = position(text, at);
    Misread { line, column, place, problem }
}

fn problem(misreading: &Misreading, mapping: &Mapping) -> String {
    let (name, tables, known) = match &misreading.what {
        Wrong::Name { name, tables, known } => (name, tables, known),
        Wrong::Key { table, given } => return miscounted(table, *given, mapping),
    };
    if tables.is_empty() {
        return format!("`{name}` is read from a list of rows: put `[]` before it");
    }
    let meant = meant(name, known.iter().map(String::as_str));
    let tables: Vec<String> = tables.iter().map(|table| format!("`{table}`")).collect();
    format!(
        "`{name}` is neither a column in `keep` of {} nor a place in `rows`{meant}",
        tables.join(" or ")
    )
}

/// Returns the message for an id with this number of key values.
fn miscounted(name: &str, given: usize, mapping: &Mapping) -> String {
    let root = mapping.aggregates.iter().find(|one| mapping.id_name(one) == name);
    let has = root.map(|one| mapping.tables[one.root].key_in_words()).unwrap_or_default();
    let given = match given {
        1 => "one value".to_owned(),
        several => format!("{several} values"),
    };
    format!(
        "uid(\"{name}\") gets {given}, but {has}: pass as many, in that order, as in \
         `uid(\"{name}\"; [.A, .B])`"
    )
}

/// Returns line and column, both from 1, the column in characters.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (1 + before.matches('\n').count(), 1 + line.chars().count())
}

/// Returns the end of a message about an unknown name: a suggestion, if any.
pub(super) fn meant<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let meant = nearest(name, known).map(|meant| format!("; did you mean `{meant}`?"));
    meant.unwrap_or_default()
}

/// Returns the most similar name, if any is similar enough: case and a third of the letters may differ.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&folded, &other.to_lowercase());
    let near = known.into_iter().map(|other| (distance(other), other));
    let near = near.filter(|(distance, _)| *distance <= name.chars().count().div_ceil(3));
    near.min().map(|(_, other)| other)
}
