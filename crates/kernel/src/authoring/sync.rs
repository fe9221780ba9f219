//! The interface between an anti-corruption layer and the modules: a `Sync…` command carries the
//! state of the legacy system, and the module records the difference.
//!
//! Imported facts trigger no policy: `…Imported` and `…Revised` are for projections only.

mod codes;
mod command;
mod entrance;
mod fields;
mod indexed;
mod news;
mod patch;
mod reading;
mod stated;

pub use event_contract::LegacyReference;

pub use codes::{Coded, currency};
pub use command::{LegacyReport, LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
pub use entrance::{LegacyAggregate, LegacyEntrance, Objection};
pub use fields::{PERSONAL, StatedField, without_null};
pub use indexed::{LONGEST_KEY, indexed};
pub use news::{News, compare};
pub use patch::Patch;
pub use reading::understand;
pub use stated::StatedCommand;
