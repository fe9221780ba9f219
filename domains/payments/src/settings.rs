//! The section of payments in the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::SandboxSettings;

/// The settings of the payments module. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentsSettings {
    /// Time from the record of an invoice until its payment expires.
    pub deadline_ms: u64,
    /// Time-out of a call to the provider, after which its outcome counts as unknown.
    pub call_timeout_ms: u64,
    /// First pause after a call without a definite answer; later pauses are longer.
    pub first_pause_ms: u64,
    /// Longest pause between two calls for the same payment.
    pub longest_pause_ms: u64,
    /// Maximum number of charges under way at once. A charge that waits for its answer costs little.
    pub concurrent_charges: u32,
    /// Maximum number of enquiries, cancellations and refunds under way at once, in addition to
    /// charges.
    pub concurrent_enquiries: u32,
    /// Circuit breaker of the calls.
    pub breaker: BreakerSettings,
    /// Built-in sandbox provider.
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

/// The settings of the circuit breaker. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Number of consecutive failures that open the circuit.
    pub failures: u32,
    /// First time that the circuit stays open; it doubles while the provider keeps failing.
    pub first_pause_ms: u64,
    /// Longest time that the circuit stays open.
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
