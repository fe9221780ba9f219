//! The only sources of time, ids and randomness. All other code receives them as arguments, so that
//! tests can repeat decisions. `clippy.toml` bans these calls everywhere else.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Returns the time in UTC, to the microsecond.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> DateTime<Utc>;
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        // Both databases store microseconds.
        Utc::now().trunc_subsecs(6)
    }
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// Returns a new UUIDv7 (RFC 9562): ordered by time, so that indexes stay dense.
#[allow(clippy::disallowed_methods, reason = "the only place that creates ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Fills a buffer from the operating system's random generator.
#[allow(clippy::disallowed_methods, reason = "the only place that reads randomness")]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
