//! The read models' SQL: a file per read model.

pub mod known_customers;
pub mod orders;
