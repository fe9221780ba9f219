//! The seams through which time and identity enter: everything else is handed them, so that
//! decisions can be repeated in tests. `clippy.toml` bans the calls made here everywhere else.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Tells the time, in UTC, to the microsecond.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        // Microseconds are what both databases keep.
        Utc::now().trunc_subsecs(6)
    }
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// A new UUIDv7 (RFC 9562): ordered by time, so that indexes over it stay dense.
#[allow(clippy::disallowed_methods, reason = "the one place that makes new ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Fills a buffer from the operating system's random generator.
#[allow(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
