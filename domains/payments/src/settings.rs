//! What can be configured of the module.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::SandboxSettings;

/// Settings of the payments module. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentsSettings {
    /// How long after its invoice a payment is given up.
    pub deadline_ms: u64,
    /// How long a call to the provider may take; then its outcome counts as unknown.
    pub call_timeout_ms: u64,
    /// The pause after the first call without a definite answer. It grows from there.
    pub first_pause_ms: u64,
    /// The longest pause between two calls for the same payment.
    pub longest_pause_ms: u64,
    /// How many charges may be under way at once. One that waits for its answer costs little.
    pub concurrent_charges: u32,
    /// How many enquiries, cancellations and refunds may be under way at once, besides charges.
    pub concurrent_enquiries: u32,
    /// When to leave a failing provider alone.
    pub breaker: BreakerSettings,
    /// The built-in sandbox provider.
    pub sandbox: SandboxSettings,
}

impl Default for PaymentsSettings {
    fn default() -> Self {
        Self {
            deadline_ms: 15 * 60 * 1_000,
            call_timeout_ms: 2_000,
            first_pause_ms: 200,
            longest_pause_ms: 5_000,
            concurrent_charges: 512,
            concurrent_enquiries: 64,
            breaker: BreakerSettings::default(),
            sandbox: SandboxSettings::default(),
        }
    }
}

/// When a failing provider is left alone, and for how long. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Calls that fail in a row before no more are made for a while.
    pub failures: u32,
    /// How long no calls are made the first time. It doubles while the provider goes on failing.
    pub first_pause_ms: u64,
    /// The longest time without calls.
    pub longest_pause_ms: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 10, first_pause_ms: 500, longest_pause_ms: 30_000 }
    }
}

impl PaymentsSettings {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(crate) fn first_pause(&self) -> Duration {
        Duration::from_millis(self.first_pause_ms)
    }

    pub(crate) fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.longest_pause_ms)
    }
}
