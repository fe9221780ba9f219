//! Since when the oldest of those that wait has been waiting.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// Those that wait now.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Since when, and a number that tells those of one moment apart.
    taken: BTreeSet<(DateTime<Utc>, u64)>,
    next: u64,
}

/// One that waits, until this is dropped.
pub(super) struct Place<'w> {
    waiting: &'w Waiting,
    place: (DateTime<Utc>, u64),
}

impl Waiting {
    pub(super) fn begin(&self, now: DateTime<Utc>) -> Place<'_> {
        let mut places = self.lock();
        let place = (now, places.next);
        places.next += 1;
        places.taken.insert(place);
        Place { waiting: self, place }
    }

    pub(super) fn since(&self) -> Option<DateTime<Utc>> {
        self.lock().taken.first().map(|(since, _)| *since)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.lock().taken.remove(&self.place);
    }
}
