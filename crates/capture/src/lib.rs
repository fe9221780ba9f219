//! capture.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod assembly;
pub mod debezium;
mod files;
mod ids;
mod import;
mod jq;
mod mapping;
mod mask;
mod mirror;
pub use files::ReadError;
pub use ids::{LEGACY_NAMESPACE, aggregate_id};
pub use import::{CommandCounts, Ignored, Import, ImportError, NoProgress, Options, Progress, Quarantined, Snapshot, Summary};
pub use jq::{CompileError, Limits, Program, RunError};
pub use mapping::{Mapping, MappingError};
pub use mirror::ChangeCounts;
