//! A mapping against a feed: which of its names the feed has, and what of the feed nobody reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::names::{meant, nearest, position};
use super::{Mapping, file};
use crate::debezium::{Line, LineError, Operation};
use crate::files::{Lines, ReadError};
use crate::mask::check_columns;

/// A name in the mapping that the feed does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The line in the mapping.
    pub line: usize,
    /// The column in it, in characters.
    pub column: usize,
    /// What is wrong and what may be meant.
    pub problem: String,
}

/// A table of the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SurveyedTable {
    /// Its records.
    pub records: u64,
    /// The columns that its records have.
    pub columns: BTreeSet<String>,
}

/// What a feed holds, next to what a mapping makes of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Survey {
    /// Names in the mapping that the feed does not have, in their order.
    pub unknown: Vec<Unknown>,
    /// Tables of the feed that the mapping does not name.
    pub unmapped: BTreeMap<String, SurveyedTable>,
    /// Columns of the feed that the mapping does not keep, by table.
    pub unread: BTreeMap<String, BTreeSet<String>>,
    /// Columns that the mapping keeps, and no program and no join names, by table.
    pub unused: BTreeMap<String, BTreeSet<String>>,
    /// Tables of the mapping of which the feed has no record.
    pub absent: BTreeSet<String>,
}

impl Mapping {
    /// Columns that are kept, but named by no program and no join, and are no key. A program may
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

    /// Reads files and compares them with the mapping. Nothing of what the columns hold is kept.
    pub fn survey(&self, files: &[PathBuf]) -> Result<Survey, ReadError> {
        let mut found: BTreeMap<String, SurveyedTable> = BTreeMap::new();
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
        found: &mut BTreeMap<String, SurveyedTable>,
    ) -> Result<(), LineError> {
        let line = Line::read(line, terminated)?;
        // A table that has another prefix is one that the mapping cannot name.
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
        let table = found.entry(table.to_owned()).or_default();
        table.records += 1;
        let columns = record
            .after
            .and_then(|after| serde_json::from_str::<HashMap<String, &RawValue>>(after.get()).ok());
        for column in columns.into_iter().flatten().map(|(name, _)| name) {
            if !table.columns.contains(&column) {
                table.columns.insert(column);
            }
        }
        Ok(())
    }

    fn compare(&self, mut found: BTreeMap<String, SurveyedTable>) -> Survey {
        let mut survey = Survey { unused: self.unused_columns(), ..Survey::default() };
        let mut places = Places::of(&self.text);
        for table in &self.tables {
            let Some(surveyed) = found.remove(&table.name) else {
                survey.absent.insert(table.name.clone());
                continue;
            };
            // Only deletions: what the rows are made of is not known.
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
}

/// Where names stand in the file.
struct Places<'t> {
    text: &'t str,
    /// Where what is said of a table begins and ends.
    tables: BTreeMap<String, std::ops::Range<usize>>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Self {
        let tables = file::read(text).map(|file| file.tables).unwrap_or_default();
        let tables = tables.into_iter().map(|(name, table)| (name, table.span())).collect();
        Self { text, tables }
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
