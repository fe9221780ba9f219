//! Limits on memory and readers, for all calls of all connections together.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Maximum bytes received by requests in progress together.
const MOST_RECEIVED_BYTES: usize = 256 * 1024 * 1024;
/// The same for one account, so that no account keeps the others from sending.
const MOST_OF_ONE_ACCOUNT: usize = MOST_RECEIVED_BYTES / 2;
/// Maximum number of open reads and subscriptions.
const MOST_READERS: usize = 1_000;

/// The remaining capacity for requests.
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
    /// Starts to count what one request sends, for the account with this share.
    pub(crate) fn receiving(&self, share: Option<Share>) -> Received {
        Received { all: Arc::clone(&self.received), share, held: Arc::default() }
    }

    /// Reserves capacity for one more reader.
    pub(crate) fn reader(&self) -> Result<Reader, Refusal> {
        let place = Arc::clone(&self.readers)
            .try_acquire_owned()
            .map_err(|_| Refusal::Busy("too many reads and subscriptions are open; retry later"))?;
        metrics::gauge!("wire_readers").increment(1.0);
        Ok(Reader { _place: place })
    }
}

/// An open read or subscription; dropping it releases its capacity.
pub(crate) struct Reader {
    _place: OwnedSemaphorePermit,
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::gauge!("wire_readers").decrement(1.0);
    }
}

/// The remaining capacity for the requests of one account.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<Semaphore>);

impl Default for Share {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_OF_ONE_ACCOUNT)))
    }
}

/// Reserved bytes; released when this is dropped.
pub(crate) type Held = Option<Bytes>;

/// Bytes reserved of the total and of the share of an account.
#[derive(Debug)]
pub(crate) struct Bytes {
    of_all: OwnedSemaphorePermit,
    of_share: Option<OwnedSemaphorePermit>,
}

/// The bytes that one request has sent and that nothing has taken over yet. Cheap to clone; released
/// with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    all: Arc<Semaphore>,
    share: Option<Share>,
    held: Arc<Mutex<Held>>,
}

impl Received {
    /// Reserves more bytes; refuses if the capacity is exceeded.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), Refusal> {
        let Some(more) = self.room(bytes) else {
            return Err(Refusal::Busy(
                "requests in progress use all memory reserved for them; retry later",
            ));
        };
        merge(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner), Some(more));
        Ok(())
    }

    fn room(&self, bytes: usize) -> Option<Bytes> {
        let bytes = u32::try_from(bytes).ok()?;
        let of = |left: &Arc<Semaphore>| Arc::clone(left).try_acquire_many_owned(bytes).ok();
        let of_share = match &self.share {
            Some(Share(left)) => Some(of(left)?),
            None => None,
        };
        Some(Bytes { of_all: of(&self.all)?, of_share })
    }

    /// Takes over the bytes that came since the last call.
    pub(crate) fn take(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Merges a reservation into another one.
pub(crate) fn merge(held: &mut Held, more: Held) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => {
            held.of_all.merge(more.of_all);
            match (held.of_share.as_mut(), more.of_share) {
                (Some(held), Some(more)) => held.merge(more),
                (None, more) => held.of_share = more,
                (Some(_), None) => {}
            }
        }
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
        let (one, other) = (capacity.receiving(None), capacity.receiving(None));
        one.add(MOST_RECEIVED_BYTES - 10).unwrap();
        assert!(matches!(other.add(11), Err(Refusal::Busy(_))));
        other.add(10).unwrap();
        let taken = other.take();
        drop(other);
        assert!(one.add(1).is_err(), "it is still kept");
        drop(taken);
        one.add(10).unwrap();
        drop(one);
        capacity.receiving(None).add(MOST_RECEIVED_BYTES).unwrap();
    }

    #[test]
    fn no_account_takes_all_there_is() {
        let capacity = Capacity::default();
        let (one, other) = (Share::default(), Share::default());
        let greedy = capacity.receiving(Some(one.clone()));
        for _ in 0..2 {
            greedy.add(MOST_OF_ONE_ACCOUNT / 2).unwrap();
        }
        assert!(greedy.add(1).is_err());
        assert!(capacity.receiving(Some(one.clone())).add(1).is_err(), "of another request");
        capacity.receiving(Some(other)).add(MOST_OF_ONE_ACCOUNT).unwrap();
        drop(greedy);
        capacity.receiving(Some(one)).add(MOST_OF_ONE_ACCOUNT).unwrap();
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
