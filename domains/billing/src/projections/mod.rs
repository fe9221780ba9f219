//! The module's read models.

mod invoices;
mod known_customers;

pub use invoices::{InvoiceViews, RetentionEvent};
pub use known_customers::KnownCustomers;
