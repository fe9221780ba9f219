//! The module's projections.

mod known_customers;
mod orders;

pub use known_customers::{CustomerEvent, KnownCustomers};
pub use orders::OrderViews;
