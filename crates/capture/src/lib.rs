//! capture.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
pub mod debezium;
mod files;
mod ids;
mod jq;
mod mapping;
mod mask;
pub use files::ReadError;
pub use ids::{LEGACY_NAMESPACE, aggregate_id};
pub use jq::{CompileError, Limits, Program, RunError};
pub use mapping::{Mapping, MappingError};
