//! What the API shows.

mod payment;
mod refund;

pub use payment::{LastRefundView, PaymentStatus, PaymentView, RefundProgress};
pub use refund::{RefundCause, RefundStatus, RefundView, RefundedLine};
