//! The stored form of every event, one file per version, kept for ever: what was once written must
//! stay readable, and is still written the same.

use std::path::Path;

use kernel::codec::EventSet as _;
use serde_json::Value;

use crate::domain::Event;

fn golden(event_type: &str) -> Value {
    let file = event_type.strip_prefix("payments.").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/golden");
    let text = std::fs::read_to_string(folder.join(format!("{file}.json")));
    let text = text.unwrap_or_else(|error| panic!("no golden file of {event_type}: {error}"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_event_is_read_and_written_as_it_was_from_the_first() {
    for event_type in Event::types() {
        let stored = golden(event_type);
        let event = Event::from_json(event_type, stored.clone())
            .unwrap_or_else(|error| panic!("{event_type}: {error}"))
            .unwrap();
        assert_eq!(event.event_type(), event_type);
        assert_eq!(event.to_json().unwrap(), stored, "{event_type}");
    }
}
