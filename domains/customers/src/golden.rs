//! Every stored event version has a sample, kept for ever: it must be read, and written as it was.

use std::path::Path;

use kernel::codec::EventSet;
use serde_json::Value;

use crate::domain::Event;
use crate::domain::email::EmailEvent;

#[track_caller]
fn reads_and_writes_its_samples<E: EventSet>(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for event_type in E::types() {
        let name = event_type.strip_prefix("customers.").expect("the module's own event");
        let path = folder.join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no sample {path:?}"));
        let sample: Value = serde_json::from_str(&text).unwrap();
        let event = E::from_json(event_type, sample.clone()).unwrap().expect("a known type");
        assert_eq!(event.to_json().unwrap(), sample, "{event_type}");
        assert_eq!(event.event_type(), event_type);
    }
}

#[test]
fn published_events_read_and_write_their_samples() {
    reads_and_writes_its_samples::<Event>("contract/golden");
}

#[test]
fn internal_events_read_and_write_their_samples() {
    reads_and_writes_its_samples::<EmailEvent>("golden");
}
