//! The module's read models.

mod known_customers;
mod orders;

pub use known_customers::{CustomerEvent, KnownCustomers};
pub use orders::OrderViews;

/// An event speaks of something that this read model has never heard of.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} of this id in the read model")]
struct Unknown {
    what: &'static str,
}
