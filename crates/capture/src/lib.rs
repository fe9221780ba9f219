//! Capture: imports the state of a legacy system from the changes of its rows.
//!
//! ```text
//! Debezium file ─► mask ─► mirror ─► documents ─► jq programs ─► Sync… commands of the modules
//! ```
//!
//! The legacy is never changed. One TOML file, a [`Mapping`], defines which columns are stored, which
//! rows make up an aggregate and what they mean; [`Import`] does the work. Aggregates that cannot be
//! converted go to quarantine, with their key and a reason, without data.
//!
//! Business meaning does not belong here: it belongs to the mapping and the modules.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod assembly;
pub mod debezium;
mod erasure;
mod files;
mod ids;
mod import;
mod jq;
mod mapping;
mod mask;
mod mirror;
mod module;
mod numbers;
mod suppression;
mod trial;
mod unavailable;
mod values;

pub use erasure::erase;
pub use files::ReadError;
pub use ids::{LEGACY_NAMESPACE, aggregate_id};
pub use import::{
    CommandCounts, Held, Ignored, Import, ImportError, NoProgress, Options, Progress, QuarantineId,
    Quarantined, Snapshot, Summary,
};
pub use jq::{CompileError, Limits, Program, RunError};
pub use mapping::{
    Mapping, MappingError, Misread, Revealed, Survey, SurveyedTable, Unknown, nearest,
};
pub use mirror::ChangeCounts;
pub use module::{CaptureModule, CatchUpError, Mirror, NAME, PERSONS};
pub use trial::{JoinedRow, Look, NoSuchRow, Stated, Trial, TrialError, Tried};
