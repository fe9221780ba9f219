//! The modules that this program names although they may run in another process: the only place that
//! does. A test of the whole system compares it with what the modules say of themselves.

/// The modules that do something when a customer is erased.
pub const ERASING: [&str; 5] = ["customers", "orders", "payments", "capture", "billing"];

/// The category of customers' streams.
pub const CUSTOMER: &str = "customer";

/// The event after which the law no longer has billing retain a customer's documents.
pub const RETENTION_ENDED: &str = "billing.RetentionEnded.v1";
