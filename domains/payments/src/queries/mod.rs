//! Reading the module's read models.

pub(crate) mod sqlite;

pub use sqlite::{PaymentFilter, PaymentRow, STATEMENTS};
