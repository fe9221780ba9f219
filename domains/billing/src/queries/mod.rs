//! The statements over the module's read models, one file per engine.

mod sqlite;

pub use sqlite::{
    InvoiceFilter, KnownCustomer, STATEMENTS, change_customer, insert_invoice, invoice, invoices,
    known_customer, remember_customer, update_invoice,
};
