//! The module's read models.

mod payments;
mod refunds;

pub use payments::PaymentsProjection;
