//! The stored formats: a sample of every event version, kept for ever.

use std::collections::BTreeSet;
use std::path::Path;

use billing::domain::Event;
use billing::domain::series::SeriesEvent;
use kernel::codec::EventSet;
use serde_json::Value;

fn every_sample_is_read_and_written_unchanged<E: EventSet>(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let event_type = format!("billing.{}", path.file_stem().unwrap().to_str().unwrap());
        let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let event = E::from_json(&event_type, golden.clone()).unwrap();
        let event = event.unwrap_or_else(|| panic!("{event_type} is not an event of ours"));
        assert_eq!(event.to_json().unwrap(), golden, "{event_type}");
        seen.insert(event_type);
    }
    assert_eq!(seen, E::types().into_iter().map(str::to_owned).collect());
}

#[test]
fn published_events_keep_their_format() {
    every_sample_is_read_and_written_unchanged::<Event>("contract/golden");
}

#[test]
fn internal_events_keep_their_format() {
    every_sample_is_read_and_written_unchanged::<SeriesEvent>("golden");
}
