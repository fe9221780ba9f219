//! An in-memory cache of hot aggregates, so that a command on one of them reads nothing.
//!
//! A cached aggregate may be out of date because another process may have written since. That causes
//! a conflict at the append, never a wrong result: a decision that ends without an append is
//! repeated on the current log (see
//! [`Environment::in_unit`](crate::authoring::execution::Environment::in_unit)).

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::log::event::{Revision, StreamName};

/// The size of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheOptions {
    /// Maximum number of aggregates; 0 disables the cache. An aggregate whose events since its last
    /// snapshot exceed 1 KiB counts once per KiB, so that the limit also bounds the memory.
    pub aggregates: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { aggregates: 10_000 }
    }
}

/// Maximum age of a cached state since its events were read, however often it is used. Personal
/// values in it were opened at that time, and keys are cached no longer than this: an erasure by
/// another process takes effect within this time.
const LIFETIME: Duration = Duration::from_secs(60);

const BYTES_PER_PLACE: usize = 1024;

/// What the cache knows about an aggregate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// The last revision of its stream that is included.
    pub(crate) revision: Revision,
    /// The incarnation of the log in which it was read.
    pub(crate) incarnation: u64,
    /// When the first of its events was read.
    pub(crate) read_at: Instant,
    /// Its approximate size.
    pub(crate) bytes: usize,
}

impl About {
    /// Orders the states of one aggregate by age.
    fn age(&self) -> (u64, Revision) {
        (self.incarnation, self.revision)
    }
}

#[derive(Clone)]
struct Entry {
    about: About,
    aggregate: Arc<dyn Any + Send + Sync>,
}

/// Gives an entry the rest of its lifetime, whether it is new or replaces an earlier one.
struct Lifetime;

impl Lifetime {
    fn left(entry: &Entry, now: Instant) -> Duration {
        LIFETIME.saturating_sub(now.saturating_duration_since(entry.about.read_at))
    }
}

impl Expiry<StreamName, Entry> for Lifetime {
    fn expire_after_create(
        &self,
        _: &StreamName,
        entry: &Entry,
        created_at: Instant,
    ) -> Option<Duration> {
        Some(Self::left(entry, created_at))
    }

    fn expire_after_update(
        &self,
        _: &StreamName,
        entry: &Entry,
        updated_at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::left(entry, updated_at))
    }
}

/// The cached aggregates of this process, by stream. Clones share them.
#[derive(Clone)]
pub(crate) struct AggregateCache(Option<Cache<StreamName, Entry>>);

impl AggregateCache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        let CacheOptions { aggregates } = options;
        Self((aggregates > 0).then(|| {
            Cache::builder()
                .max_capacity(aggregates)
                .weigher(|_, entry: &Entry| {
                    let places = entry.about.bytes.div_ceil(BYTES_PER_PLACE).max(1);
                    u32::try_from(places).unwrap_or(u32::MAX)
                })
                .expire_after(Lifetime)
                .build()
        }))
    }

    /// Returns whether the cache is disabled, so that callers need not prepare entries.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the cached aggregate of a stream if it has this type.
    pub(crate) fn get<A: Any + Send + Sync>(&self, stream: &StreamName) -> Option<Arc<A>> {
        self.0.as_ref()?.get(stream)?.aggregate.downcast().ok()
    }

    /// Caches an aggregate unless the cache holds it at this or a later revision, or from a later
    /// incarnation: of two commands that end at once, the later state stays.
    pub(crate) fn put<A: Any + Send + Sync>(
        &self,
        stream: &StreamName,
        about: About,
        aggregate: Arc<A>,
    ) {
        let Some(cache) = &self.0 else { return };
        let entry = Entry { about, aggregate };
        cache.entry_by_ref(stream).and_compute_with(|known| match known {
            Some(known) if known.value().about.age() >= about.age() => Op::Nop,
            _ => Op::Put(entry),
        });
    }

    /// Removes the aggregate of a stream.
    pub(crate) fn forget(&self, stream: &StreamName) {
        if let Some(cache) = &self.0 {
            cache.invalidate(stream);
        }
    }

    /// Removes every aggregate.
    pub(crate) fn forget_all(&self) {
        if let Some(cache) = &self.0 {
            cache.invalidate_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamName {
        StreamName::of("lamp", crate::log::seams::new_id())
    }

    fn about(revision: Revision) -> About {
        About { revision, incarnation: 0, read_at: Instant::now(), bytes: 100 }
    }

    #[test]
    fn a_later_state_is_never_replaced_by_an_earlier_one() {
        let cache = AggregateCache::new(CacheOptions::default());
        let stream = stream();
        for (revision, state) in [(3, "third"), (2, "second"), (3, "again"), (4, "fourth")] {
            cache.put(&stream, about(revision), Arc::new(state));
            let expected = if revision < 4 { "third" } else { "fourth" };
            assert_eq!(cache.get::<&str>(&stream).as_deref(), Some(&expected));
        }
        cache.forget(&stream);
        assert!(cache.get::<&str>(&stream).is_none());
    }

    #[test]
    fn a_state_of_a_later_incarnation_is_later_whatever_its_revision() {
        let cache = AggregateCache::new(CacheOptions::default());
        let stream = stream();
        let of = |incarnation, revision| About { incarnation, ..about(revision) };
        cache.put(&stream, of(0, 7), Arc::new("lost"));
        cache.put(&stream, of(1, 3), Arc::new("left"));
        cache.put(&stream, of(0, 8), Arc::new("was under way"));
        assert_eq!(cache.get::<&str>(&stream).as_deref(), Some(&"left"));
    }

    #[test]
    fn a_state_is_kept_for_a_minute_since_it_was_read_however_often_it_changes() {
        let now = Instant::now();
        let read_at = now.checked_sub(Duration::from_secs(50)).unwrap();
        let entry = Entry { about: About { read_at, ..about(0) }, aggregate: Arc::new(()) };
        assert_eq!(Lifetime::left(&entry, now), Duration::from_secs(10));
        assert_eq!(Lifetime::left(&entry, now + Duration::from_secs(11)), Duration::ZERO);
        let cache = AggregateCache::new(CacheOptions::default());
        let stream = stream();
        let read_at = now.checked_sub(LIFETIME).unwrap();
        cache.put(&stream, About { read_at, ..about(0) }, Arc::new(()));
        assert!(cache.get::<()>(&stream).is_none());
    }

    #[test]
    fn large_states_take_the_places_of_several() {
        let cache = AggregateCache::new(CacheOptions { aggregates: 100 });
        for _ in 0..200 {
            let large = About { bytes: 10 * BYTES_PER_PLACE, ..about(0) };
            cache.put(&stream(), large, Arc::new(()));
        }
        let inner = cache.0.as_ref().unwrap();
        inner.run_pending_tasks();
        assert!((1..=10).contains(&inner.entry_count()), "{}", inner.entry_count());
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be_kept() {
        let cache = AggregateCache::new(CacheOptions { aggregates: 0 });
        let stream = stream();
        cache.put(&stream, about(0), Arc::new(()));
        assert!(cache.is_off() && cache.get::<()>(&stream).is_none());
    }
}
