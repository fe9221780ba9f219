//! Stored formats never change: every version of every event has samples, and every stored event must
//! stay readable.
//!
//! A sample is `<folder>/<module>.<Event>.v<N>.json`, or `<module>.<Event>.v<N>.<variation>.json` if one
//! does not cover the format, such as after an optional field was added. A sample is never changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use event_contract::{CLEAR_MEMBER, ERASED_MEMBER};
use kernel::codec::EventSet;
use kernel::subscription::Identity;
use module::{ModuleDescription, StreamCategory};
use serde_json::{Value, json};

struct Sample {
    file: String,
    event_type: String,
    data: Value,
}

fn samples(folder: &Path) -> Vec<Sample> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let data = serde_json::from_slice(&std::fs::read(&path).unwrap());
        let event_type = file.split('.').take(3).collect::<Vec<_>>().join(".");
        Sample { data: data.unwrap_or_else(|error| panic!("{file}: {error}")), event_type, file }
    };
    files.map(read).collect()
}

/// Checks the stored formats of a module: every version of every event that it reads has samples, the
/// published ones in `contract/golden` of its folder and its internal ones in `golden`. Each is read,
/// and, if it has the current version, written again unchanged.
#[track_caller]
pub fn keeps_formats(module: &ModuleDescription, folder: &Path) {
    let types = |of: fn(&StreamCategory) -> &Vec<&'static str>| -> BTreeSet<&str> {
        module.categories.iter().flat_map(of).copied().collect()
    };
    let readable = types(|category| &category.readable);
    let published: BTreeSet<&str> = module.published.iter().map(|event| event.event_type).collect();
    let unread: Vec<_> = published.difference(&readable).collect();
    assert!(unread.is_empty(), "published, but read by none of the module's deciders: {unread:?}");
    let internal: BTreeSet<&str> = readable.difference(&published).copied().collect();
    for (name, expected) in [("contract/golden", &published), ("golden", &internal)] {
        let folder = folder.join(name);
        let samples = if folder.is_dir() { samples(&folder) } else { Vec::new() };
        let sampled: BTreeSet<&str> = samples.iter().map(|sample| &*sample.event_type).collect();
        assert_eq!(sampled, *expected, "the event types with samples in {}", folder.display());
        for sample in &samples {
            is_kept(module, sample);
        }
    }
}

/// Checks one sample.
#[track_caller]
fn is_kept(module: &ModuleDescription, Sample { file, event_type, data }: &Sample) {
    let rewritten = |data: Value| {
        let categories = module.categories.iter();
        let category = categories.clone().find(|one| one.readable.contains(&event_type.as_str()));
        let rewritten = category.expect("a readable type").rewrite(event_type, data);
        rewritten.unwrap_or_else(|error| panic!("{file}: {error}")).expect("a readable type")
    };
    let (written_as, written) = rewritten(data.clone());
    if written_as == event_type {
        assert_eq!(written, *data, "{file} is written differently");
    }
    // It must also be readable after the person's key was destroyed.
    rewritten(erased(data.clone()));
    let version = module.published.iter().find(|event| event.event_type == event_type);
    if let Some(version) = version {
        let written = version.rewrite(data.clone());
        let written = written.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(written, *data, "{file} is written differently by its contract type");
    }
}

fn read<E: EventSet>(what: &str, event_type: &str, data: Value) -> E {
    let event = E::from_json(event_type, data);
    event.unwrap_or_else(|error| panic!("{what}: {error}")).expect("a readable type")
}

fn erased(data: Value) -> Value {
    match data {
        Value::Object(object) if object.contains_key(CLEAR_MEMBER) => {
            json!({ ERASED_MEMBER: true })
        }
        Value::Object(object) => {
            object.into_iter().map(|(member, value)| (member, erased(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(erased).collect(),
        other => other,
    }
}

/// Checks that a subscription reads every sample of every event version to which it subscribes,
/// whatever module publishes it, also after the person's key was destroyed. `folders` returns the
/// folder of a module's samples.
#[track_caller]
pub fn are_read_by(subscription: &Identity, folders: impl Fn(&str) -> Vec<PathBuf>) {
    for event_type in &subscription.types {
        let module = event_type.split('.').next().unwrap();
        let all = folders(module).into_iter().flat_map(|folder| samples(&folder));
        let of_type: Vec<Sample> = all.filter(|sample| sample.event_type == *event_type).collect();
        assert!(!of_type.is_empty(), "{} reads {event_type}: no samples", subscription.name);
        for Sample { file, data, .. } in of_type {
            for data in [erased(data.clone()), data] {
                let read = subscription.read(event_type, data);
                let read = read.unwrap_or_else(|error| {
                    panic!("{} cannot read {module}'s {file}: {error}", subscription.name)
                });
                assert!(read, "{} ignores {module}'s {file}", subscription.name);
            }
        }
    }
}

/// Checks upcasters: the first sample of each pair, of an older version, is read as equal to the
/// second. Both are given without `.json`.
#[track_caller]
pub fn upcasts<E: EventSet>(folder: &Path, pairs: &[(&str, &str)]) {
    let samples = samples(folder);
    let find = |name: &str| {
        let file = format!("{name}.json");
        samples.iter().find(|sample| sample.file == file).unwrap_or_else(|| panic!("no {file}"))
    };
    for (older, newer) in pairs {
        let (from, to) = (find(older), find(newer));
        let event = read::<E>(older, &from.event_type, from.data.clone());
        assert_eq!(event.event_type(), to.event_type, "{older}");
        assert_eq!(event.to_json().unwrap(), to.data, "{older}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use event_contract::PublishedEvent;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tempfile::TempDir;

    use module::{ModuleDescription, StreamCategory};

    use super::{keeps_formats, upcasts};

    /// An event with two published versions, as its contract and its module define it.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct LampLitV1 {
        watts: u32,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct LampLit {
        lumens: u32,
    }

    event_contract::published! {
        "house.LampLit.v1": LampLitV1;
        "house.LampLit.v2": LampLit, from LampLitV1;
    }

    impl From<LampLitV1> for LampLit {
        fn from(older: LampLitV1) -> Self {
            Self { lumens: older.watts * 12 }
        }
    }

    const CATALOGUE: &[PublishedEvent] =
        &[PublishedEvent::of::<LampLitV1>(), PublishedEvent::of::<LampLit>()];

    kernel::event_set! {
        enum LampEvent { Lit(LampLit) }
    }

    /// Creates the folder of a module with these samples of its published events.
    fn samples(samples: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(golden(folder.path())).unwrap();
        for (name, data) in samples {
            std::fs::write(golden(folder.path()).join(format!("{name}.json")), data).unwrap();
        }
        folder
    }

    fn golden(folder: &Path) -> PathBuf {
        folder.join("contract/golden")
    }

    fn house() -> ModuleDescription {
        ModuleDescription {
            name: "house",
            purpose: "Lamps.",
            published: CATALOGUE,
            categories: vec![StreamCategory::of_events::<LampEvent>("lamp")],
            imports: Vec::new(),
            subscriptions: Vec::new(),
            tables: Vec::new(),
            routes: None,
        }
    }

    fn read_as_pairs(folder: &Path) {
        upcasts::<LampEvent>(&golden(folder), &[("house.LampLit.v1", "house.LampLit.v2")]);
    }

    #[test]
    fn an_older_sample_is_read_as_the_newer_one_says() {
        let folder = samples(&[
            ("house.LampLit.v1", r#"{"watts":60}"#),
            ("house.LampLit.v2", r#"{"lumens":720}"#),
        ]);
        keeps_formats(&house(), folder.path());
        read_as_pairs(folder.path());
    }

    #[test]
    #[should_panic(expected = "house.LampLit.v1")]
    fn an_older_sample_that_is_read_as_something_else_fails() {
        let folder = samples(&[
            ("house.LampLit.v1", r#"{"watts":60}"#),
            ("house.LampLit.v2", r#"{"lumens":1}"#),
        ]);
        read_as_pairs(folder.path());
    }

    #[test]
    #[should_panic(expected = "the event types with samples")]
    fn a_version_without_a_sample_fails() {
        let folder = samples(&[("house.LampLit.v2", r#"{"lumens":720}"#)]);
        keeps_formats(&house(), folder.path());
    }
}
