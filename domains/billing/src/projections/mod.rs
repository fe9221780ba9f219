//! The module's read models.

mod invoices;
mod known_customers;

pub use invoices::InvoiceViews;
pub use known_customers::KnownCustomers;

/// An event speaks of something that this read model has never heard of.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} of this id in the read model")]
struct Unknown {
    what: &'static str,
}
