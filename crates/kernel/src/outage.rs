//! What goes wrong again and again for as long as one cause lasts: a full disk, a database that does
//! not answer, no file descriptor left. It is logged when it begins, now and then while it lasts, and
//! when it is over; every occurrence is counted in `outage_occurrences_total`.
//!
//! Occurrences with the same innermost error are of one cause, whoever meets it: fifteen
//! subscriptions on one full disk are one outage.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often an outage that lasts is logged again.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// An outage whose end nobody reports is over when it has not occurred for this long.
const QUIET: Duration = Duration::from_secs(5);
/// Most causes that are told apart at once: error texts may hold what changes each time.
const MOST_CAUSES: usize = 32;

/// Something that can go wrong for a while, as the log calls it. Made to be a `static`.
#[derive(Debug)]
pub struct Outage {
    /// What happens, such as `subscriptions are interrupted`.
    what: &'static str,
    causes: Mutex<BTreeMap<String, Lasting>>,
    /// Whether there is any cause: what is well looks no further.
    lasts: AtomicBool,
}

/// One cause, since it began.
#[derive(Debug)]
struct Lasting {
    begun: Instant,
    logged: Instant,
    last: Instant,
    occurrences: u64,
    /// Those that met it and have not recovered.
    affected: BTreeSet<String>,
}

/// What is to be logged of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Begun,
    Lasts { occurrences: u64, lasted: Duration, affected: usize },
    Nothing,
}

/// A cause that is over.
#[derive(Debug, PartialEq, Eq)]
struct Over {
    cause: String,
    occurrences: u64,
    lasted: Duration,
}

impl Outage {
    /// One that has not occurred. `what` is a clause, which the log begins with.
    pub const fn new(what: &'static str) -> Self {
        let causes = Mutex::new(BTreeMap::new());
        Self { what, causes, lasts: AtomicBool::new(false) }
    }

    /// It has occurred to somebody, such as a subscription.
    pub fn occurs(&self, affected: &str, error: &(dyn Error + 'static)) {
        self.occurs_because(affected, &root(error), &crate::parking::with_sources(error));
    }

    /// The same of an error that is text already.
    pub fn occurs_because(&self, affected: &str, cause: &str, error: &str) {
        metrics::counter!("outage_occurrences_total", "outage" => self.what).increment(1);
        let outage = self.what;
        match self.note(affected, cause, Instant::now()) {
            News::Begun => tracing::warn!(outage, affected, error, "{outage}"),
            News::Lasts { occurrences, lasted, affected } => tracing::warn!(
                outage,
                error,
                occurrences,
                affected_count = affected,
                lasted_ms = milliseconds(lasted),
                "{outage}, still"
            ),
            News::Nothing => tracing::debug!(outage, affected, error, "{outage}, again"),
        }
    }

    /// Somebody has recovered.
    pub fn ends(&self, affected: &str) {
        if self.lasts.load(Ordering::Relaxed) {
            self.log(self.recover(|lasting| {
                lasting.affected.remove(affected);
                lasting.affected.is_empty()
            }));
        }
    }

    /// Things go well where it is not known who was affected: what has not occurred for a few
    /// seconds is over.
    pub fn ends_if_quiet(&self) {
        if self.lasts.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.log(self.recover(|lasting| now.duration_since(lasting.last) >= QUIET));
        }
    }

    fn note(&self, affected: &str, cause: &str, now: Instant) -> News {
        let mut causes = self.causes();
        self.lasts.store(true, Ordering::Relaxed);
        if let Some(lasting) = causes.get_mut(cause) {
            lasting.last = now;
            lasting.occurrences += 1;
            lasting.affected.insert(affected.to_owned());
            if now.duration_since(lasting.logged) < REMIND_EVERY {
                return News::Nothing;
            }
            lasting.logged = now;
            let lasted = now.duration_since(lasting.begun);
            let (occurrences, affected) = (lasting.occurrences, lasting.affected.len());
            return News::Lasts { occurrences, lasted, affected };
        }
        if causes.len() >= MOST_CAUSES {
            let oldest = causes.iter().min_by_key(|(_, lasting)| lasting.last);
            let oldest = oldest.map(|(cause, _)| cause.clone());
            oldest.and_then(|cause| causes.remove(&cause));
        }
        let affected = BTreeSet::from([affected.to_owned()]);
        let new = Lasting { begun: now, logged: now, last: now, occurrences: 1, affected };
        causes.insert(cause.to_owned(), new);
        News::Begun
    }

    fn recover(&self, is_over: impl Fn(&mut Lasting) -> bool) -> Vec<Over> {
        let now = Instant::now();
        let mut causes = self.causes();
        let mut over = Vec::new();
        causes.retain(|cause, lasting| {
            let ends = is_over(lasting);
            if ends {
                let (occurrences, lasted) = (lasting.occurrences, now.duration_since(lasting.begun));
                over.push(Over { cause: cause.clone(), occurrences, lasted });
            }
            !ends
        });
        self.lasts.store(!causes.is_empty(), Ordering::Relaxed);
        over
    }

    fn log(&self, over: Vec<Over>) {
        let outage = self.what;
        for Over { cause, occurrences, lasted } in over {
            let lasted_ms = milliseconds(lasted);
            tracing::info!(outage, cause, occurrences, lasted_ms, "over: {outage}");
        }
    }

    fn causes(&self) -> MutexGuard<'_, BTreeMap<String, Lasting>> {
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The innermost error.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Whole milliseconds, for fields of the log that end with `_ms`: JSON has no durations.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(outage: &Outage, affected: &str) -> Vec<(String, u64)> {
        let over = outage.recover(|lasting| {
            lasting.affected.remove(affected);
            lasting.affected.is_empty()
        });
        over.into_iter().map(|over| (over.cause, over.occurrences)).collect()
    }

    #[test]
    fn an_outage_is_told_when_it_begins_now_and_then_and_when_all_have_recovered() {
        let outage = Outage::new("subscriptions are interrupted");
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(outage.note("one", "disk full", begun), News::Begun);
        assert_eq!(outage.note("other", "disk full", begun), News::Nothing);
        assert_eq!(outage.note("one", "disk full", after(59)), News::Nothing);
        assert_eq!(
            outage.note("one", "disk full", after(60)),
            News::Lasts { occurrences: 4, lasted: Duration::from_secs(60), affected: 2 }
        );
        assert_eq!(outage.note("one", "disk full", after(61)), News::Nothing);
        assert_eq!(over(&outage, "one"), []);
        assert_eq!(over(&outage, "other"), [("disk full".to_owned(), 5)]);
        assert!(!outage.lasts.load(Ordering::Relaxed));
        assert_eq!(outage.note("one", "disk full", after(62)), News::Begun);
    }

    #[test]
    fn causes_are_told_apart_and_bounded() {
        let outage = Outage::new("requests fail");
        let now = Instant::now();
        for number in 0..2 * MOST_CAUSES {
            let at = now + Duration::from_millis(number as u64);
            assert_eq!(outage.note("", &number.to_string(), at), News::Begun);
        }
        assert_eq!(outage.causes().len(), MOST_CAUSES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_ends_is_over_when_it_is_quiet() {
        let outage = Outage::new("requests fail");
        outage.occurs_because("", "disk full", "disk full");
        outage.ends_if_quiet();
        assert!(outage.lasts.load(Ordering::Relaxed));
        tokio::time::advance(QUIET).await;
        outage.ends_if_quiet();
        assert!(!outage.lasts.load(Ordering::Relaxed));
    }

    #[test]
    fn one_cause_is_recognised_through_whatever_is_around_it() {
        let disk = std::io::Error::other("disk full");
        let around = crate::store::ReadError::Unavailable(Box::new(disk));
        assert_eq!(root(&around), "disk full");
    }
}
