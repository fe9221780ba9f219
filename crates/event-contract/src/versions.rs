//! Versions of one event: reads data stored under an older name as the newest version.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Published;

/// Converts the version before an event's own and, through it, every older one.
///
/// A version knows only its direct predecessor: an upcaster is one small pure function between
/// neighbours, `impl From<EventV1> for EventV2`, and a chain of them leads from any version to the
/// newest.
pub struct Upcaster<E> {
    types: fn() -> Vec<&'static str>,
    reads: fn(&str) -> bool,
    read: fn(&str, Value) -> Result<Option<E>, serde_json::Error>,
}

impl<E> Upcaster<E> {
    /// Returns the upcaster from the previous version, which includes the upcasters of that one.
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

/// Returns the stored names that can be read as this event, oldest first; its own is the last.
pub fn readable_types<E: Published>() -> Vec<&'static str> {
    let mut types = E::UPCASTER.map_or_else(Vec::new, |upcaster| (upcaster.types)());
    types.push(E::TYPE);
    types
}

/// Returns whether data stored under this name can be read as this event.
pub fn reads<E: Published>(event_type: &str) -> bool {
    event_type == E::TYPE || E::UPCASTER.is_some_and(|upcaster| (upcaster.reads)(event_type))
}

/// Reads data that was stored under this name, an older version through its upcasters. Returns `None`
/// if the name is not that of a known version of the event.
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
