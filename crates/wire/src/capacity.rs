//! What all calls together may take, over all connections.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// What requests in progress may have sent together, in bytes.
const MOST_RECEIVED_BYTES: usize = 256 * 1024 * 1024;
/// Reads and subscriptions that may be open together.
const MOST_READERS: usize = 1_000;

/// What is left for requests to come.
#[derive(Debug)]
pub(crate) struct Capacity {
    received: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            received: Arc::new(Semaphore::new(MOST_RECEIVED_BYTES)),
            readers: Arc::new(Semaphore::new(MOST_READERS)),
        }
    }
}

impl Capacity {
    /// Begins to count what one request sends.
    pub(crate) fn receiving(&self) -> Received {
        Received { all: Arc::clone(&self.received), held: Arc::default() }
    }

    /// Room for one more reader.
    pub(crate) fn reader(&self) -> Result<Reader, Refusal> {
        let place = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| {
            Refusal::Busy("as many reads and subscriptions are open as may be; try again later")
        })?;
        metrics::gauge!("wire_readers").increment(1.0);
        Ok(Reader { _place: place })
    }
}

/// A read or subscription that is open, as long as this is kept.
pub(crate) struct Reader {
    _place: OwnedSemaphorePermit,
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::gauge!("wire_readers").decrement(1.0);
    }
}

/// Bytes that are kept; given back when this is dropped.
pub(crate) type Held = Option<OwnedSemaphorePermit>;

/// What one request has sent and nobody has taken over yet. Cheap to clone; given back with the last
/// clone.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    all: Arc<Semaphore>,
    held: Arc<Mutex<Held>>,
}

impl Received {
    /// Counts some bytes more; refuses what is more than there is room for.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), Refusal> {
        let more = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.all).try_acquire_many_owned(bytes).ok());
        let Some(more) = more else {
            return Err(Refusal::Busy(
                "requests in progress hold as much memory as they may; try again later",
            ));
        };
        merge(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner), Some(more));
        Ok(())
    }

    /// Takes over what came since the last time.
    pub(crate) fn take(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Keeps the one together with the other.
pub(crate) fn merge(held: &mut Held, more: Held) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_requests_hold_together_is_bounded_and_given_back() {
        let capacity = Capacity::default();
        let (one, other) = (capacity.receiving(), capacity.receiving());
        one.add(MOST_RECEIVED_BYTES - 10).unwrap();
        assert!(matches!(other.add(11), Err(Refusal::Busy(_))));
        other.add(10).unwrap();
        let taken = other.take();
        drop(other);
        assert!(one.add(1).is_err(), "it is still kept");
        drop(taken);
        one.add(10).unwrap();
        drop(one);
        capacity.receiving().add(MOST_RECEIVED_BYTES).unwrap();
    }

    #[test]
    fn readers_are_bounded() {
        let capacity = Capacity::default();
        let mut readers: Vec<_> = (0..MOST_READERS).map(|_| capacity.reader().unwrap()).collect();
        assert!(matches!(capacity.reader(), Err(Refusal::Busy(_))));
        readers.pop();
        assert!(capacity.reader().is_ok());
    }
}
