//! The record of what was published: the schemas of every event version, from a folder, or from a commit
//! and every commit before it back to the beginning of the record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::git::{self, Repository};
use crate::values::failure::Misused;

/// Folder of the record, relative to the current folder.
pub const FOLDER: &str = "openapi/events";

/// Marker file in that folder: the last commit that changed it is the first one that counts.
const BEGINNING: &str = "openapi/events/BEGINNING.md";

const SUFFIX: &str = ".schema.json";

/// The schemas that were published.
pub struct Record {
    /// Description of the source, for messages.
    pub what: String,
    /// Every state of the schema of each event version, newest first.
    pub states: BTreeMap<String, Vec<State>>,
}

/// A state of the schema of an event version.
pub struct State {
    /// The schema.
    pub schema: Value,
    /// The commit that introduced it, if it is not the newest state.
    pub former: Option<String>,
}

impl Record {
    /// Reads the record from a folder or, if no such folder exists, from a commit.
    pub fn of(against: &str) -> anyhow::Result<Self> {
        if Path::new(against).is_dir() {
            return Self::of_folder(Path::new(against));
        }
        let repository = Repository::here().with_context(|| no_folder(against))?;
        let commit = repository.commit(against)?.ok_or_else(|| {
            Misused(format!("{}, and git has no commit of that name", no_folder(against)))
        })?;
        Self::at(&repository, against, &commit)
    }

    /// Reads the record from a folder; empty if the folder does not exist yet.
    pub fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut states = BTreeMap::new();
        for module in entries(folder)? {
            for file in entries(&module)? {
                let Some(event_type) = event_type_of(folder, &file) else { continue };
                let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let schema = parse(&text).with_context(|| file.display().to_string())?;
                states.insert(event_type, vec![State { schema, former: None }]);
            }
        }
        Ok(Self { what: folder.display().to_string(), states })
    }

    fn at(repository: &Repository, reference: &str, commit: &str) -> anyhow::Result<Self> {
        let mut states: BTreeMap<String, Vec<State>> = BTreeMap::new();
        let mut read = |path: &str, blob: &str, former: Option<String>| -> anyhow::Result<()> {
            let Some(event_type) = event_type_of(Path::new(FOLDER), Path::new(path)) else {
                return Ok(());
            };
            let schema = parse(&repository.blob(blob)?)
                .with_context(|| format!("{path} of the git blob {blob}"))?;
            states.entry(event_type).or_default().push(State { schema, former });
            Ok(())
        };
        let files = repository.files(commit, FOLDER)?;
        if files.is_empty() {
            return Err(Misused(format!(
                "{reference} has no schemas in {FOLDER}: run this in the folder that contains it, or \
                 name another commit"
            ))
            .into());
        }
        for (path, blob) in &files {
            read(path, blob, None)?;
        }
        let is_marked = files.contains_key(BEGINNING);
        let beginning = is_marked.then(|| repository.last_change(commit, BEGINNING)).transpose()?;
        for change in repository.changes(commit, beginning.as_deref(), FOLDER)? {
            if files.get(&change.path) != Some(&change.blob) {
                read(&change.path, &change.blob, Some(change.commit))?;
            }
        }
        if let Some(beginning) = beginning {
            for (path, blob) in repository.files(&beginning, FOLDER)? {
                if files.get(&path) != Some(&blob) {
                    read(&path, &blob, Some(git::short(&beginning)))?;
                }
            }
        }
        Ok(Self { what: format!("{FOLDER} at {reference} and before"), states })
    }
}

fn no_folder(against: &str) -> String {
    format!("there is no folder {against}")
}

fn parse(text: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(text).context("not a JSON Schema")
}

/// Returns the file of an event type: `orders/OrderPlaced.v1.schema.json` for `orders.OrderPlaced.v1`.
pub fn file_of(event_type: &str) -> String {
    let (module, event) = event_type.split_once('.').unwrap_or(("", event_type));
    format!("{module}/{event}{SUFFIX}")
}

/// Returns the event type of a schema file, or `None` for any other file.
fn event_type_of(folder: &Path, file: &Path) -> Option<String> {
    let (module, file) = file.strip_prefix(folder).ok()?.to_str()?.split_once('/')?;
    Some(format!("{module}.{}", file.strip_suffix(SUFFIX)?))
}

/// Returns the entries of a folder; none if the folder does not exist.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_event_version() {
        let file = Path::new(FOLDER).join(file_of("orders.OrderPlaced.v1"));
        assert_eq!(file, Path::new("openapi/events/orders/OrderPlaced.v1.schema.json"));
        let event_type = event_type_of(Path::new(FOLDER), &file);
        assert_eq!(event_type.as_deref(), Some("orders.OrderPlaced.v1"));
        for other in ["README.md", "orders/notes.txt", "../bascule.openapi.json"] {
            assert_eq!(event_type_of(Path::new(FOLDER), &Path::new(FOLDER).join(other)), None);
        }
    }
}
