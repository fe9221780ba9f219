//! The streams that a module writes.

use kernel::codec::EventSet;
use kernel::decider::Decider;
use serde_json::Value;

/// The streams of one kind of aggregate, `<name>-<id>`.
#[derive(Debug, Clone)]
pub struct StreamCategory {
    /// The first part of their names.
    pub name: &'static str,
    /// The event types that this release writes there.
    pub written: Vec<&'static str>,
    /// The event types that this release reads there: those it writes, and every older version.
    pub readable: Vec<&'static str>,
    rewrite: Rewrite,
}

/// An event read and written again: the type that it is written as, and its data.
type Rewritten = (&'static str, Value);
type Rewrite = fn(&str, Value) -> Result<Option<Rewritten>, serde_json::Error>;

impl StreamCategory {
    pub(crate) fn of<D: Decider>() -> Self {
        Self::of_events::<D::Event>(D::CATEGORY)
    }

    /// The streams of a category to which the events of a set are written.
    pub fn of_events<E: EventSet>(name: &'static str) -> Self {
        Self {
            name,
            written: E::types(),
            readable: E::readable_types(),
            rewrite: |event_type, data| {
                let event = E::from_json(event_type, data)?;
                event.map(|event| Ok((event.event_type(), event.to_json()?))).transpose()
            },
        }
    }

    /// Reads the data of an event as the decider does, and writes it as this release would. Returns the
    /// type and the data that are written; `None` when no event of this type is read.
    pub fn rewrite(
        &self,
        event_type: &str,
        data: Value,
    ) -> Result<Option<Rewritten>, serde_json::Error> {
        (self.rewrite)(event_type, data)
    }
}
