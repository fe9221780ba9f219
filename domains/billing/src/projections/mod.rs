//! The module's read models.

mod invoices;
mod known_customers;

pub use invoices::InvoiceViews;
pub use known_customers::KnownCustomers;
