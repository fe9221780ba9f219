//! Whether the contract types still are what was published.

pub mod compatibility;
pub mod git;
pub mod judgement;
pub mod record;
