//! Recurring failures with one cause that lasts: a full disk, an unresponsive database, no free file
//! descriptor. The log reports an outage when it begins, periodically while it lasts, and when it
//! ends; `outage_occurrences_total` counts every occurrence.
//!
//! Occurrences with the same innermost error have the same cause, no matter which component reports
//! them: fifteen subscriptions on one full disk are one outage.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a lasting outage is logged again.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// An outage whose end is not reported counts as over after this time without an occurrence.
const QUIET: Duration = Duration::from_secs(5);
/// An occurrence after this time without one begins a new outage, even if the end was not reported.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// Maximum number of distinct causes at once: error texts may contain a part that changes each time.
const MOST_CAUSES: usize = 32;

/// A kind of outage, named as in the log. Intended for a `static`.
#[derive(Debug)]
pub struct Outage {
    /// The label `outage` of `outage_occurrences_total`, such as `subscriptions_interrupted`.
    name: &'static str,
    /// A clause that names the outage in the log, such as `subscriptions are interrupted`.
    what: &'static str,
    /// Whether it is logged as an error instead of a warning.
    is_severe: bool,
    causes: Mutex<BTreeMap<String, Lasting>>,
    /// Whether any cause lasts: a fast path for the healthy case.
    lasts: AtomicBool,
}

/// One lasting cause. A cause that ended is kept for a while, so that a flapping one is not logged
/// each time.
#[derive(Debug)]
struct Lasting {
    begun: Instant,
    /// When it was last logged, other than as ended.
    logged: Instant,
    last: Instant,
    occurrences: u64,
    /// The components that are affected and have not recovered.
    affected: BTreeSet<String>,
    /// Whether the log currently reports it as lasting.
    is_reported: bool,
}

/// What to log for an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Begun,
    Lasts { occurrences: u64, lasted: Duration, affected: usize },
    Nothing,
}

/// A cause that ended.
#[derive(Debug, PartialEq, Eq)]
struct Over {
    cause: String,
    occurrences: u64,
    lasted: Duration,
}

impl Outage {
    /// Creates an outage without occurrences. `name` is the label in metrics, which alarms refer to:
    /// it never changes. `what` is a clause that begins the log message.
    pub const fn new(name: &'static str, what: &'static str) -> Self {
        Self::of(name, what, false)
    }

    /// Creates an outage that is logged as an error.
    pub const fn severe(name: &'static str, what: &'static str) -> Self {
        Self::of(name, what, true)
    }

    const fn of(name: &'static str, what: &'static str, is_severe: bool) -> Self {
        let causes = Mutex::new(BTreeMap::new());
        Self { name, what, is_severe, causes, lasts: AtomicBool::new(false) }
    }

    /// Reports an occurrence that affects a component, such as a subscription.
    pub fn occurs(&self, affected: &str, error: &(dyn Error + 'static)) {
        self.occurs_because(affected, &root(error), &with_sources(error));
    }

    /// Reports an occurrence whose error is text.
    pub fn occurs_because(&self, affected: &str, cause: &str, error: &str) {
        let hint = no_descriptor_is_left();
        metrics::counter!("outage_occurrences_total", "outage" => self.name).increment(1);
        let outage = self.what;
        match self.note(affected, cause, Instant::now()) {
            News::Begun if self.is_severe => tracing::error!(affected, error, hint, "{outage}"),
            News::Begun => tracing::warn!(affected, error, hint, "{outage}"),
            News::Lasts { occurrences, lasted, affected } => tracing::warn!(
                error,
                hint,
                occurrences,
                affected_count = affected,
                lasted_ms = milliseconds(lasted),
                "{outage}, still"
            ),
            News::Nothing => tracing::debug!(affected, error, "{outage}, again"),
        }
    }

    /// Reports that a component has recovered.
    pub fn ends(&self, affected: &str) {
        if self.lasts.load(Ordering::Relaxed) {
            self.log(self.recover(|lasting| {
                lasting.affected.remove(affected);
            }));
        }
    }

    /// Reports success where the affected component is not known: causes without an occurrence in
    /// the last few seconds are over.
    pub fn ends_if_quiet(&self) {
        if self.lasts.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.log(self.recover(|lasting| {
                if now.duration_since(lasting.last) >= QUIET {
                    lasting.affected.clear();
                }
            }));
        }
    }

    /// Registers a component that may be affected; it counts as recovered when the result is
    /// dropped.
    pub fn met_by(&self, affected: impl Into<String>) -> Meeting<'_> {
        Meeting { outage: self, affected: affected.into(), has_occurred: false }
    }

    fn note(&self, affected: &str, cause: &str, now: Instant) -> News {
        let mut causes = self.causes();
        self.lasts.store(true, Ordering::Relaxed);
        if let Some(lasting) = causes.get_mut(cause) {
            let comes_back =
                lasting.affected.is_empty() || now.duration_since(lasting.last) >= FORGOTTEN_AFTER;
            lasting.last = now;
            lasting.occurrences += 1;
            lasting.affected.insert(affected.to_owned());
            if now.duration_since(lasting.logged) < REMIND_EVERY {
                return News::Nothing;
            }
            (lasting.logged, lasting.is_reported) = (now, true);
            if comes_back {
                (lasting.begun, lasting.occurrences) = (now, 1);
                return News::Begun;
            }
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
        let (occurrences, is_reported) = (1, true);
        let new =
            Lasting { begun: now, logged: now, last: now, occurrences, affected, is_reported };
        causes.insert(cause.to_owned(), new);
        News::Begun
    }

    /// Marks components as recovered. Returns the causes that ended and were reported as lasting.
    fn recover(&self, some: impl Fn(&mut Lasting)) -> Vec<Over> {
        let now = Instant::now();
        let mut causes = self.causes();
        let mut over = Vec::new();
        let mut lasts = false;
        for (cause, lasting) in &mut *causes {
            some(lasting);
            if !lasting.affected.is_empty() {
                lasts = true;
            } else if std::mem::take(&mut lasting.is_reported) {
                let (occurrences, lasted) =
                    (lasting.occurrences, now.duration_since(lasting.begun));
                over.push(Over { cause: cause.clone(), occurrences, lasted });
            }
        }
        self.lasts.store(lasts, Ordering::Relaxed);
        over
    }

    fn log(&self, over: Vec<Over>) {
        let outage = self.what;
        for Over { cause, occurrences, lasted } in over {
            let lasted_ms = milliseconds(lasted);
            tracing::info!(cause, occurrences, lasted_ms, "over: {outage}");
        }
    }

    fn causes(&self) -> MutexGuard<'_, BTreeMap<String, Lasting>> {
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A component that may be affected by an outage while its work lasts.
#[derive(Debug)]
pub struct Meeting<'o> {
    outage: &'o Outage,
    affected: String,
    has_occurred: bool,
}

impl Meeting<'_> {
    /// Reports an occurrence.
    pub fn occurs(&mut self, error: &(dyn Error + 'static)) {
        self.has_occurred = true;
        self.outage.occurs(&self.affected, error);
    }
}

impl Drop for Meeting<'_> {
    fn drop(&mut self) {
        if self.has_occurred {
            self.outage.ends(&self.affected);
        }
    }
}

/// Returns the text of the innermost error.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Returns an explanation if this process has no free file descriptor. The errors that follow often
/// name another cause: SQLite reports that it cannot open a file, a pool that a wait timed out.
pub fn no_descriptor_is_left() -> Option<&'static str> {
    /// "Too many open files" (`errno` of Linux and the BSDs): in the system or in this process.
    const EXHAUSTED: [i32; 2] = [24, 23];
    let error = std::io::stderr().as_fd().try_clone_to_owned().err()?;
    error.raw_os_error().filter(|errno| EXHAUSTED.contains(errno))?;
    Some(
        "no free file descriptor: raise the limit (`ulimit -n`, `LimitNOFILE=` of systemd, \
         `--ulimit nofile=` of Docker)",
    )
}

/// Returns whole milliseconds, for log fields that end with `_ms`: JSON has no durations.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns an error's text, followed by the texts of its sources.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(outage: &Outage, affected: &str) -> Vec<(String, u64)> {
        let over = outage.recover(|lasting| {
            lasting.affected.remove(affected);
        });
        over.into_iter().map(|over| (over.cause, over.occurrences)).collect()
    }

    #[test]
    fn an_outage_is_logged_at_its_begin_periodically_and_when_all_have_recovered() {
        let outage = Outage::new("subscriptions_are_interrupted", "subscriptions are interrupted");
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
        assert_eq!(outage.note("one", "disk full", after(120)), News::Begun);
        assert_eq!(outage.note("one", "disk full", after(420)), News::Begun);
    }

    #[test]
    fn what_comes_and_goes_is_not_logged_each_time() {
        let outage = Outage::severe(
            "the_event_store_cannot_be_written_to",
            "the event store cannot be written to",
        );
        let begun = Instant::now();
        assert_eq!(outage.note("store", "disk full", begun), News::Begun);
        assert_eq!(over(&outage, "store"), [("disk full".to_owned(), 1)]);
        for tenth in 1..600 {
            let at = begun + Duration::from_millis(tenth * 100);
            assert_eq!(outage.note("store", "disk full", at), News::Nothing);
            assert_eq!(over(&outage, "store"), []);
        }
        assert_eq!(outage.note("store", "disk full", begun + REMIND_EVERY), News::Begun);
        assert_eq!(over(&outage, "store"), [("disk full".to_owned(), 1)]);
    }

    #[test]
    fn causes_are_distinct_and_bounded() {
        let outage = Outage::new("requests_fail", "requests fail");
        let now = Instant::now();
        for number in 0..2 * MOST_CAUSES {
            let at = now + Duration::from_millis(number as u64);
            assert_eq!(outage.note("", &number.to_string(), at), News::Begun);
        }
        assert_eq!(outage.causes().len(), MOST_CAUSES);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_without_reported_end_is_over_when_it_is_quiet() {
        let outage = Outage::new("requests_fail", "requests fail");
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
        let around = crate::log::store::ReadError::Unavailable(Box::new(disk));
        assert_eq!(root(&around), "disk full");
    }
}
