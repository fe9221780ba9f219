//! Names of modules that may run in another process. Only this file names them; a test of the whole
//! system compares it with the modules' descriptions.

/// The modules with a step after the erasure of a customer.
pub const ERASING: [&str; 5] = ["customers", "orders", "payments", "capture", "billing"];

/// The category of the customers' streams.
pub const CUSTOMER: &str = "customer";

/// The event that ends the legal retention of a customer's documents in billing.
pub const RETENTION_ENDED: &str = "billing.RetentionEnded.v1";
