//! The read models' SQL: a file per read model.

pub mod invoices;
pub mod known_customers;
pub mod retention;
