//! The events of benchmarks: 300 bytes of JSON each, an order with two lines and a note.

use kernel::event::{Metadata, NewEvent};
use kernel::execution::ORIGIN;
use kernel::seams::{SharedClock, new_id};
use kernel::shared_text::SharedText;

use crate::ACTOR;

/// Generates events.
#[derive(Clone)]
pub struct EventSource {
    clock: SharedClock,
    event_type: SharedText,
    actor: SharedText,
    origin: SharedText,
}

impl EventSource {
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            event_type: "bench.Appended.v1".into(),
            actor: ACTOR.into(),
            origin: ORIGIN.into(),
        }
    }

    /// Returns the events of one request, which share a correlation.
    pub fn take(&self, count: usize) -> Vec<NewEvent> {
        let correlation_id = new_id();
        let occurred_at = self.clock.now();
        let event = || NewEvent {
            id: new_id(),
            event_type: self.event_type.clone(),
            data: data(),
            metadata: Metadata {
                correlation_id,
                causation_id: None,
                traceparent: None,
                actor: self.actor.clone(),
                origin_system: self.origin.clone(),
                occurred_at,
            },
            foreign: None,
        };
        std::iter::repeat_with(event).take(count).collect()
    }
}

fn data() -> Vec<u8> {
    let order_id = new_id();
    format!(
        r#"{{"order_id":"{order_id}","customer":"c-123456","amount":1234,"currency":"EUR","lines":[{{"sku":"ABC-1","qty":2}},{{"sku":"ABC-2","qty":1}}],"note":"{:x<128}"}}"#,
        "payload "
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_promised_size_and_is_json() {
        let data = data();
        assert_eq!(data.len(), 300);
        serde_json::from_slice::<serde_json::Value>(&data).unwrap();
    }
}
