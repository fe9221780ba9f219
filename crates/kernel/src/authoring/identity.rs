//! The identity of a subscription, derived from its type.

use std::collections::BTreeSet;

use serde_json::Value;

use super::codec::EventSet;
use super::projection::Projection;
use super::reaction::Reaction;
use super::subscription::SubscriptionKind;
use crate::log::event::{EventFilter, family};

/// The identity of a subscription. It depends only on the type of its projection or reaction, so
/// that no store is needed to determine it; the runtime uses it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name of its checkpoint; for a projection `<name>.v<version>`.
    pub name: String,
    /// Its kind.
    pub kind: SubscriptionKind,
    /// The event types that this release reads for it, including every older version with an
    /// upcaster.
    pub types: Vec<&'static str>,
    /// The families that it once read and no longer reads.
    pub retired: &'static [&'static str],
    read: fn(&str, Value) -> Result<bool, serde_json::Error>,
}

impl Identity {
    /// Returns the identity of a projection.
    pub fn of_projection<P: Projection>() -> Self {
        let name = format!("{}.v{}", P::NAME, P::VERSION);
        Self::of::<P::Event>(name, SubscriptionKind::Projection, P::RETIRED_FAMILIES)
    }

    /// Returns the identity of a policy or reactor.
    pub fn of_reaction<R: Reaction>() -> Self {
        Self::of::<R::Event>(R::NAME.to_owned(), R::KIND.into(), R::RETIRED_FAMILIES)
    }

    fn of<E: EventSet>(
        name: String,
        kind: SubscriptionKind,
        retired: &'static [&'static str],
    ) -> Self {
        let read = |event_type: &str, data| Ok(E::from_json(event_type, data)?.is_some());
        Self { name, kind, types: E::readable_types(), retired, read }
    }

    /// Parses the data of an event as the subscription would, older versions through their
    /// upcasters. Returns `false` if it reads no events of this type.
    pub fn read(&self, event_type: &str, data: Value) -> Result<bool, serde_json::Error> {
        (self.read)(event_type, data)
    }

    /// Returns whether this release reads events of a type.
    pub fn reads(&self, event_type: &str) -> bool {
        self.types.contains(&event_type)
    }

    /// Returns the event families that it reads.
    pub fn families(&self) -> BTreeSet<String> {
        self.types.iter().filter_map(|name| family(name)).map(str::to_owned).collect()
    }

    /// Returns the filter of the events to read, given every family that any replica has ever read.
    pub(crate) fn filter(&self, families: &BTreeSet<String>) -> EventFilter {
        let retired = |family: &str| self.retired.contains(&family);
        EventFilter::families(families.iter().filter(|family| !retired(family)).cloned())
    }
}
