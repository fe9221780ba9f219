//! The time since which the oldest waiting call has been waiting.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// The calls that wait now.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// Start of each wait, with a number that distinguishes simultaneous starts.
    taken: BTreeSet<(DateTime<Utc>, u64)>,
    next: u64,
}

/// A waiting call; the wait ends when this is dropped.
pub(super) struct Slot<'w> {
    waiting: &'w Waiting,
    slot: (DateTime<Utc>, u64),
}

impl Waiting {
    pub(super) fn begin(&self, now: DateTime<Utc>) -> Slot<'_> {
        let mut slots = self.lock();
        let slot = (now, slots.next);
        slots.next += 1;
        slots.taken.insert(slot);
        Slot { waiting: self, slot }
    }

    pub(super) fn since(&self) -> Option<DateTime<Utc>> {
        self.lock().taken.first().map(|(since, _)| *since)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.waiting.lock().taken.remove(&self.slot);
    }
}
