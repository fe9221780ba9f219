//! Admission control: rejects new business while events of earlier business wait too long for their
//! turn.
//!
//! Placing an order is cheap and its consequences are expensive. If orders were admitted regardless
//! of the backlog, it would grow without bound. The gate closes when the oldest event that waits for
//! its turn ([`crate::authoring::backlog`]) has waited longer than the limit, and opens when the
//! wait is down to half of it: the hysteresis prevents it from toggling at every event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{MissedTickBehavior, interval};

use super::backlog::Backlog;
use crate::log::seams::SharedClock;

/// How often the backlogs are read.
const EVERY: Duration = Duration::from_millis(100);
/// Maximum `Retry-After` given to a client.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// The value of an open gate.
const OPEN: u32 = 0;

/// The rejection of new business: the backlog is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backlog of earlier orders is too old; retry in {retry_after} s")]
pub struct Backlogged {
    /// Number of seconds after which to retry: at least 1.
    pub retry_after: u32,
}

/// Decides whether new business is admitted. Clones share the state.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Maximum time that an event may wait for its turn; `None` admits everything.
    max_lag: Option<TimeDelta>,
    /// Number of seconds after which to retry while the gate is closed.
    gate: Arc<AtomicU32>,
}

impl Default for Admission {
    /// Admits everything.
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

impl Admission {
    /// Creates a gate that closes when an event waits longer than `max_lag`; zero never closes it.
    pub fn new(max_lag: Duration) -> Self {
        let max_lag = Some(max_lag).filter(|lag| !lag.is_zero());
        // A duration beyond the range of `TimeDelta` is never reached.
        let max_lag = max_lag.and_then(|lag| TimeDelta::from_std(lag).ok());
        Self { max_lag, gate: Arc::new(AtomicU32::new(OPEN)) }
    }

    /// Fails while the gate is closed. Costs one atomic read.
    pub fn check(&self) -> Result<(), Backlogged> {
        match self.gate.load(Ordering::Relaxed) {
            OPEN => Ok(()),
            retry_after => {
                metrics::counter!("admission_refused_total").increment(1);
                Err(Backlogged { retry_after })
            }
        }
    }

    /// Updates the gate with the time since when the oldest event has been waiting.
    pub fn observe(&self, waiting_since: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let Some(max_lag) = self.max_lag else { return };
        let lag = waiting_since.map_or(TimeDelta::zero(), |since| now - since);
        metrics::gauge!("admission_lag_seconds").set(lag.num_milliseconds().max(0) as f64 / 1e3);
        let was_open = self.gate.load(Ordering::Relaxed) == OPEN;
        let limit = if was_open { max_lag } else { max_lag / 2 };
        let is_open = lag <= limit;
        let retry_after = if is_open { OPEN } else { pause(lag - max_lag / 2) };
        self.gate.store(retry_after, Ordering::Relaxed);
        metrics::gauge!("admission_open").set(if is_open { 1.0 } else { 0.0 });
        let lag_ms = lag.num_milliseconds();
        match (was_open, is_open) {
            (true, false) => tracing::warn!(
                lag_ms,
                "policies are behind: commands that begin something new are refused until they have caught up"
            ),
            (false, true) => {
                tracing::info!(lag_ms, "policies have caught up: commands are admitted")
            }
            _ => {}
        }
    }

    /// Watches the backlogs of this process, forever.
    pub async fn watch(self, backlogs: Vec<Backlog>, clock: SharedClock) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let oldest = backlogs.iter().filter_map(Backlog::waiting_since).min();
            self.observe(oldest, clock.now());
        }
    }
}

/// Returns how many seconds it takes to work off the excess without new events: at least 1.
fn pause(excess: TimeDelta) -> u32 {
    let milliseconds = excess.min(LONGEST_PAUSE).num_milliseconds();
    u32::try_from(milliseconds.div_euclid(1000) + 1).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + milliseconds).unwrap()
    }

    fn gate() -> Admission {
        Admission::new(Duration::from_secs(5))
    }

    #[test]
    fn it_closes_beyond_the_limit_and_opens_at_half_of_it() {
        let gate = gate();
        let is_open_at = |lag| {
            gate.observe(Some(at(0)), at(lag));
            gate.check().is_ok()
        };
        let lags = [0, 5_000, 5_001, 4_000, 2_501, 2_500, 4_000, 5_000, 6_000];
        let open = [true, true, false, false, false, true, true, true, false];
        assert_eq!(lags.map(is_open_at), open);
    }

    #[test]
    fn nothing_that_waits_opens_it() {
        let gate = gate();
        gate.observe(Some(at(0)), at(60_000));
        assert_eq!(gate.check(), Err(Backlogged { retry_after: 31 }));
        gate.observe(Some(at(0)), at(5_100));
        assert_eq!(gate.check(), Err(Backlogged { retry_after: 3 }));
        gate.observe(None, at(60_000));
        assert_eq!(gate.check(), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_closes_nothing() {
        let gate = gate();
        gate.observe(Some(at(0)), at(-60_000));
        assert_eq!(gate.check(), Ok(()));
    }

    #[test]
    fn without_a_limit_everything_is_admitted() {
        let gate = Admission::default();
        gate.observe(Some(at(0)), at(3_600_000));
        assert_eq!(gate.check(), Ok(()));
    }
}
