//! What a subscription is, as its type says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::codec::EventSet;
use super::projection::Projection;
use super::reaction::Reaction;
use super::subscription::SubscriptionKind;
use crate::log::event::{EventFilter, family};

/// What a subscription is. It follows from the type of its projection or reaction alone, so that it
/// can be told without a store, and is what the runtime goes by.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What its checkpoint is kept under; of a projection `<name>.v<version>`.
    pub name: String,
    /// What it is.
    pub kind: SubscriptionKind,
    /// The event types this release reads for it, every version that it has an upcaster for included.
    pub types: Vec<&'static str>,
    /// The families it once wanted and does not want any more.
    pub retired: &'static [&'static str],
    read: fn(&str, Value) -> Result<bool, serde_json::Error>,
}

impl Identity {
    /// What a projection is.
    pub fn of_projection<P: Projection>() -> Self {
        let name = format!("{}.v{}", P::NAME, P::VERSION);
        Self::of::<P::Event>(name, SubscriptionKind::Projection, P::RETIRED_FAMILIES)
    }

    /// What a policy or reactor is.
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

    /// Reads the data of an event as the subscription would, an older version through its upcasters;
    /// `false` when it reads no events of this type.
    pub fn read(&self, event_type: &str, data: Value) -> Result<bool, serde_json::Error> {
        (self.read)(event_type, data)
    }

    /// Whether this release reads events of a type.
    pub fn reads(&self, event_type: &str) -> bool {
        self.types.contains(&event_type)
    }

    /// The event families it reads.
    pub fn families(&self) -> BTreeSet<String> {
        self.types.iter().filter_map(|name| family(name)).map(str::to_owned).collect()
    }

    /// The events to read, given every family that any replica ever wanted.
    pub(crate) fn filter(&self, families: &BTreeSet<String>) -> EventFilter {
        let retired = |family: &str| self.retired.contains(&family);
        EventFilter::families(families.iter().filter(|family| !retired(family)).cloned())
    }
}
