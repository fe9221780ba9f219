//! Versions of one event: how data stored under an older name is read as the newest.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Published;

/// Reads the version before an event's own and, through it, every older one.
///
/// A version knows its direct predecessor only: an upcaster is one small pure function between
/// neighbours, `impl From<EventV1> for EventV2`, and a chain of them leads from any version to the
/// newest.
pub struct Upcaster<E> {
    types: fn() -> Vec<&'static str>,
    reads: fn(&str) -> bool,
    read: fn(&str, Value) -> Result<Option<E>, serde_json::Error>,
}

impl<E> Upcaster<E> {
    /// From the version before, and whatever that one can be read from.
    pub const fn from<Older: Published + DeserializeOwned>() -> Self
    where
        E: From<Older>,
    {
        Self {
            types: readable_types::<Older>,
            reads: reads::<Older>,
            read: |event_type, data| Ok(read::<Older>(event_type, data)?.map(E::from)),
        }
    }
}

/// The stored names that can be read as this event, oldest first; its own is the last.
pub fn readable_types<E: Published>() -> Vec<&'static str> {
    let mut types = E::UPCASTER.map_or_else(Vec::new, |upcaster| (upcaster.types)());
    types.push(E::TYPE);
    types
}

/// Whether data stored under this name can be read as this event.
pub fn reads<E: Published>(event_type: &str) -> bool {
    event_type == E::TYPE || E::UPCASTER.is_some_and(|upcaster| (upcaster.reads)(event_type))
}

/// Reads data that was stored under this name, an older version through its upcasters. `None` when
/// the name is of no version of the event that is known here.
pub fn read<E: Published + DeserializeOwned>(
    event_type: &str,
    data: Value,
) -> Result<Option<E>, serde_json::Error> {
    if event_type == E::TYPE {
        return serde_json::from_value(data).map(Some);
    }
    match E::UPCASTER {
        Some(upcaster) => (upcaster.read)(event_type, data),
        None => Ok(None),
    }
}
