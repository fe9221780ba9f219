//! Compares a mapping with a feed: names missing in the feed, and data of the feed that is not used.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::names::{meant, nearest, position};
use super::{ColumnType, Mapping, TableId, file};
use crate::debezium::{Line, LineError, Operation};
use crate::files::{Lines, ReadError};
use crate::mask::check_columns;

/// A name in the mapping that the feed does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The line in the mapping.
    pub line: usize,
    /// The column in the line, in characters.
    pub column: usize,
    /// What is wrong, and a suggestion.
    pub problem: String,
}

/// A table of the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SurveyedTable {
    /// The number of its records.
    pub records: u64,
    /// The columns that its records have.
    pub columns: BTreeSet<String>,
}

/// The content of a feed compared with a mapping.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Survey {
    /// Names in the mapping that the feed does not have, in their order.
    pub unknown: Vec<Unknown>,
    /// Tables of the feed that the mapping does not name.
    pub unmapped: BTreeMap<String, SurveyedTable>,
    /// Columns of the feed that the mapping does not keep, by table.
    pub unread: BTreeMap<String, BTreeSet<String>>,
    /// Columns that the mapping keeps but no program and no join uses, by table.
    pub unused: BTreeMap<String, BTreeSet<String>>,
    /// Tables of the mapping without a record in the feed.
    pub absent: BTreeSet<String>,
    /// Doubtful settings, with their place in the mapping.
    pub doubtful: Vec<Unknown>,
}

/// The number of rows from which times within the first month of 1970 are reported as doubtful.
const DOUBTED: u64 = 3;
/// Microseconds of January 1970.
const JANUARY: i64 = 31 * 86_400 * 1_000_000;

/// The values of a time column.
#[derive(Debug, Default)]
struct Times {
    seen: u64,
    in_january_1970: u64,
}

/// The collected data of a feed.
#[derive(Debug, Default)]
struct Found {
    tables: BTreeMap<String, SurveyedTable>,
    /// Names whose topic begins with `tables_from`.
    prefixed: BTreeSet<String>,
    /// By table and column.
    times: BTreeMap<(TableId, String), Times>,
}

impl Found {
    fn time(&mut self, table: TableId, column: &str, micros: i64) {
        let times = self.times.entry((table, column.to_owned())).or_default();
        times.seen += 1;
        times.in_january_1970 += u64::from((0..JANUARY).contains(&micros));
    }
}

impl Mapping {
    /// Returns the kept columns that no program and no join names and that are not keys. A program may
    /// read them without naming them.
    pub fn unused_columns(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut unused: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for table in &self.tables {
            let programs = || self.aggregates.iter().map(|aggregate| &aggregate.program);
            for column in table.columns.keys() {
                let named = programs().any(|program| program.mentions(column));
                if !named && !table.joins(column) && !table.key.contains(column) {
                    unused.entry(table.name.clone()).or_default().insert(column.clone());
                }
            }
        }
        unused
    }

    /// Reads files and compares them with the mapping. Keeps none of the columns' values.
    pub fn survey(&self, files: &[PathBuf]) -> Result<Survey, ReadError> {
        let mut found = Found::default();
        for path in files {
            let mut lines = Lines::open(path, None, &Arc::default())?;
            loop {
                let read = match lines.next()? {
                    None => break,
                    Some(("", _)) => continue,
                    Some((line, terminated)) => self.survey_line(line, terminated, &mut found),
                };
                read.map_err(|problem| lines.broken(problem))?;
            }
        }
        Ok(self.compare(found))
    }

    fn survey_line(
        &self,
        line: &str,
        terminated: bool,
        found: &mut Found,
    ) -> Result<(), LineError> {
        let line = Line::read(line, terminated)?;
        // A table with another prefix is one that the mapping cannot name.
        let table = line.topic.strip_prefix(&self.tables_from).unwrap_or(&line.topic);
        let record = match self.table_ids.get(table) {
            Some(&id) => {
                let key = serde_json::from_str(line.key.get());
                key.map_or(Ok(()), |columns| check_columns(&self.tables[id], &columns))?;
                line.record(table)?
            }
            None => line.unmapped(),
        };
        if record.operation == Operation::Other {
            return Ok(());
        }
        let columns = record
            .after
            .and_then(|after| serde_json::from_str::<HashMap<String, &RawValue>>(after.get()).ok())
            .unwrap_or_default();
        if let Some(&id) = self.table_ids.get(table) {
            for (name, column) in &self.tables[id].columns {
                let value =
                    columns.get(name).filter(|_| column.kind == Some(ColumnType::Timestamp));
                if let Some(micros) = value.and_then(|value| value.get().parse().ok()) {
                    found.time(id, name, micros);
                }
            }
        }
        if table.len() < line.topic.len() && !found.prefixed.contains(table) {
            found.prefixed.insert(table.to_owned());
        }
        let table = found.tables.entry(table.to_owned()).or_default();
        table.records += 1;
        for (column, _) in columns {
            if !table.columns.contains(&column) {
                table.columns.insert(column);
            }
        }
        Ok(())
    }

    fn compare(&self, found: Found) -> Survey {
        let Found { tables: mut found, prefixed, times } = found;
        let mut survey = Survey { unused: self.unused_columns(), ..Survey::default() };
        let mut places = Places::of(&self.text);
        for table in &self.tables {
            let Some(surveyed) = found.remove(&table.name) else {
                survey.absent.insert(table.name.clone());
                continue;
            };
            // Only deletions: the columns of the rows are unknown.
            if surveyed.columns.is_empty() {
                continue;
            }
            for (column, kept) in &table.columns {
                if surveyed.columns.contains(column) || kept.optional {
                    continue;
                }
                let meant = meant(column, surveyed.columns.iter().map(String::as_str));
                let (line, at) = places.column(&table.name, column);
                let problem =
                    format!("`{}` has no column `{column}` in the feed{meant}", table.name);
                survey.unknown.push(Unknown { line, column: at, problem });
            }
            let kept = |column: &&String| !table.columns.contains_key(*column);
            let unread: BTreeSet<_> = surveyed.columns.iter().filter(kept).cloned().collect();
            if !unread.is_empty() {
                survey.unread.insert(table.name.clone(), unread);
            }
        }
        survey.unmapped = found;
        for ((table, column), Times { seen, in_january_1970 }) in times {
            if seen >= DOUBTED && seen == in_january_1970 {
                let table = &self.tables[table].name;
                let (line, at) = places.column(table, &column);
                let problem = format!(
                    "all {seen} values of `{table}.{column}` lie within January 1970, as milliseconds do \
                     that are read as microseconds: write `timestamp_ms` in `types` if they are"
                );
                survey.doubtful.push(Unknown { line, column: at, problem });
            }
        }
        if survey.absent.len() == self.tables.len() && !survey.unmapped.is_empty() {
            survey.unknown.push(self.nothing_mapped(&survey, &prefixed, &places));
            return survey;
        }
        // A table may have no rows; one whose name is nearly that of another is misspelt.
        for table in &survey.absent {
            if let Some(meant) = nearest(table, survey.unmapped.keys().map(String::as_str)) {
                let (line, column) = places.table(table);
                let problem = format!("the feed has no table `{table}`; did you mean `{meant}`?");
                survey.unknown.push(Unknown { line, column, problem });
            }
        }
        survey.unknown.sort_by_key(|unknown| (unknown.line, unknown.column));
        survey
    }

    /// Returns the message if no record belongs to a table of the mapping.
    fn nothing_mapped(
        &self,
        survey: &Survey,
        prefixed: &BTreeSet<String>,
        places: &Places<'_>,
    ) -> Unknown {
        // The prefix of the most topics.
        let mut prefixes: BTreeMap<String, usize> = BTreeMap::new();
        for topic in survey.unmapped.keys() {
            let names = self.tables.iter().filter_map(|table| topic.strip_suffix(&table.name));
            for prefix in names.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')) {
                let before = if prefixed.contains(topic) { &self.tables_from } else { "" };
                *prefixes.entry(format!("{before}{prefix}")).or_default() += 1;
            }
        }
        let meant = prefixes.into_iter().max_by_key(|(_, topics)| *topics);
        let meant = meant.map(|(prefix, _)| format!("; did you mean `{prefix}`?"));
        let (line, column) = places.tables_from();
        let problem = format!(
            "no record of the feed belongs to a table of the mapping: no topic is `{}` followed by the name of one{}",
            self.tables_from,
            meant.unwrap_or_default()
        );
        Unknown { line, column, problem }
    }
}

/// Places of names in the file.
struct Places<'t> {
    text: &'t str,
    /// The begin and end of each table's section.
    tables: BTreeMap<String, std::ops::Range<usize>>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Self {
        let tables = file::read(text).map(|file| file.tables).unwrap_or_default();
        let tables = tables.into_iter().map(|(name, table)| (name, table.span())).collect();
        Self { text, tables }
    }

    fn tables_from(&self) -> (usize, usize) {
        position(self.text, self.text.find("tables_from").unwrap_or_default())
    }

    fn table(&self, name: &str) -> (usize, usize) {
        let begins = self.tables.get(name).map_or(0, |span| span.start);
        let before = self.text.get(..begins).unwrap_or_default();
        position(self.text, before.rfind(name).unwrap_or(begins))
    }

    fn column(&mut self, table: &str, column: &str) -> (usize, usize) {
        let Some(span) = self.tables.get(table) else { return (1, 1) };
        let said = self.text.get(span.clone()).unwrap_or_default();
        let quoted = [format!("\"{column}\""), format!("'{column}'")];
        let at = quoted.iter().find_map(|quoted| said.find(quoted.as_str()));
        position(self.text, span.start + at.map_or(0, |at| at + 1))
    }
}
