//! The read models' SQL: a file per read model.

pub mod payments;
pub mod refunds;
