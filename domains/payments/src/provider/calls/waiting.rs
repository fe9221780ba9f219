//! Since when the oldest of those that wait has been waiting.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// Those that wait now.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// Since when, and a number that tells those of one moment apart.
    taken: BTreeSet<(DateTime<Utc>, u64)>,
    next: u64,
}

/// One that waits, until this is dropped.
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
