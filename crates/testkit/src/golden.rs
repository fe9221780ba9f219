//! Stored formats are kept for ever: every version of every event has samples, and what was once
//! written must stay readable.
//!
//! A sample is `<folder>/<Event>.v<N>.json`, or `<Event>.v<N>.<variation>.json` where one does not
//! show it all, such as after an optional field was added. A sample is never changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use event_contract::{CLEAR_MEMBER, ERASED_MEMBER, PublishedEvent};
use kernel::codec::EventSet;
use kernel::subscription::Identity;
use serde_json::{Value, json};

struct Sample {
    file: String,
    event_type: String,
    data: Value,
}

fn samples(module: &str, folder: &Path) -> Vec<Sample> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let data = serde_json::from_slice(&std::fs::read(&path).unwrap());
        let mut parts = file.split('.');
        let (event, version) = (parts.next().unwrap(), parts.next().unwrap());
        let event_type = format!("{module}.{event}.{version}");
        Sample { data: data.unwrap_or_else(|error| panic!("{file}: {error}")), event_type, file }
    };
    files.map(read).collect()
}

/// Checks what a module publishes: its aggregate's events are all in the contract's catalogue,
/// every version there has samples in `folder`, and each contract type reads its samples and writes
/// them again unchanged.
#[track_caller]
pub fn keeps_published_formats<E: EventSet>(
    module: &str,
    catalogue: &[PublishedEvent],
    folder: &Path,
) {
    let published: BTreeSet<&str> = catalogue.iter().map(|event| event.event_type).collect();
    let readable: BTreeSet<&str> = E::readable_types().into_iter().collect();
    assert_eq!(published, readable, "the contract's catalogue, and what the module reads");
    for sample in keeps_formats::<E>(module, folder) {
        let version = catalogue.iter().find(|event| event.event_type == sample.event_type).unwrap();
        let written = version.rewrite(sample.data.clone());
        let written = written.unwrap_or_else(|error| panic!("{}: {error}", sample.file));
        assert_eq!(written, sample.data, "{}", sample.file);
    }
}

/// Checks the events that a module keeps to itself: every version has samples in `folder`, is read,
/// and is written again unchanged.
#[track_caller]
pub fn keeps_internal_formats<E: EventSet>(module: &str, folder: &Path) {
    keeps_formats::<E>(module, folder);
}

#[track_caller]
fn keeps_formats<E: EventSet>(module: &str, folder: &Path) -> Vec<Sample> {
    let samples = samples(module, folder);
    let sampled: BTreeSet<&str> = samples.iter().map(|sample| &*sample.event_type).collect();
    let readable: BTreeSet<&str> = E::readable_types().into_iter().collect();
    assert_eq!(sampled, readable, "what there are samples of, and what the module reads");
    for Sample { file, event_type, data } in &samples {
        let event = read::<E>(file, event_type, data.clone());
        if event.event_type() == event_type {
            assert_eq!(event.to_json().unwrap(), *data, "{file} is written differently");
        }
        // Once the person's key is gone it is read all the same.
        read::<E>(&format!("{file}, erased"), event_type, erased(data.clone()));
    }
    samples
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

/// Checks that a subscription reads every sample of every event version it subscribes to, whichever
/// module publishes it, also once the person's key is gone. `folders` says where a module's samples
/// are.
#[track_caller]
pub fn are_read_by(subscription: &Identity, folders: impl Fn(&str) -> Vec<PathBuf>) {
    for event_type in &subscription.types {
        let module = event_type.split('.').next().unwrap();
        let all = folders(module).into_iter().flat_map(|folder| samples(module, &folder));
        let of_type: Vec<Sample> = all.filter(|sample| sample.event_type == *event_type).collect();
        assert!(!of_type.is_empty(), "{} reads {event_type}: no samples", subscription.name);
        for Sample { file, data, .. } in of_type {
            for data in [erased(data.clone()), data] {
                let read = subscription.read(event_type, data);
                let read = read.unwrap_or_else(|error| {
                    panic!("{} cannot read {module}'s {file}: {error}", subscription.name)
                });
                assert!(read, "{} passes over {module}'s {file}", subscription.name);
            }
        }
    }
}

/// Checks upcasters: each of the first samples, of an older version, is read as the second one says.
/// Both are named without their module and `.json`.
#[track_caller]
pub fn upcasts<E: EventSet>(module: &str, folder: &Path, pairs: &[(&str, &str)]) {
    let samples = samples(module, folder);
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
    use std::path::Path;

    use event_contract::{Published, PublishedEvent, Upcaster};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tempfile::TempDir;

    use super::{keeps_published_formats, upcasts};

    /// How an event of which two versions were published stands in a contract and in its module.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct LampLitV1 {
        watts: u32,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct LampLit {
        lumens: u32,
    }

    impl Published for LampLitV1 {
        const TYPE: &'static str = "house.LampLit.v1";
    }

    impl Published for LampLit {
        const TYPE: &'static str = "house.LampLit.v2";
        const UPCASTER: Option<Upcaster<Self>> = Some(Upcaster::from::<LampLitV1>());
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

    fn samples(samples: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in samples {
            std::fs::write(folder.path().join(format!("{name}.json")), data).unwrap();
        }
        folder
    }

    fn read_as_pairs(folder: &Path) {
        upcasts::<LampEvent>("house", folder, &[("LampLit.v1", "LampLit.v2")]);
    }

    #[test]
    fn an_older_sample_is_read_as_the_newer_one_says() {
        let folder =
            samples(&[("LampLit.v1", r#"{"watts":60}"#), ("LampLit.v2", r#"{"lumens":720}"#)]);
        keeps_published_formats::<LampEvent>("house", CATALOGUE, folder.path());
        read_as_pairs(folder.path());
    }

    #[test]
    #[should_panic(expected = "LampLit.v1")]
    fn an_older_sample_that_is_read_as_something_else_fails() {
        let folder =
            samples(&[("LampLit.v1", r#"{"watts":60}"#), ("LampLit.v2", r#"{"lumens":1}"#)]);
        read_as_pairs(folder.path());
    }

    #[test]
    #[should_panic(expected = "what there are samples of")]
    fn a_version_without_a_sample_fails() {
        let folder = samples(&[("LampLit.v2", r#"{"lumens":720}"#)]);
        keeps_published_formats::<LampEvent>("house", CATALOGUE, folder.path());
    }
}
