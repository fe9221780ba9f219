//! Checks whether the contract types are compatible with what was published.

pub mod compatibility;
pub mod git;
pub mod judgement;
pub mod record;
