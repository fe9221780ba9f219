//! Lets a test end the process at a chosen step, as `kill -9` would: without a message and without
//! flushing anything. Compiled only with the feature `crash-points`.
//!
//! `BASCULE_CRASH_AT=before:<event type>` ends the process immediately before an event of this type is
//! appended, `after:<event type>` immediately after.

use std::sync::Arc;

use kernel::decorator::Decorator;
use kernel::store::{AppendError, AppendRequest, Appended, EventStore};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

struct CrashingStore {
    inner: Arc<dyn EventStore>,
    moment: Moment,
    event_type: String,
}

/// Returns the store itself, or a store that ends the process at the step that the environment names.
pub fn armed(inner: Arc<dyn EventStore>) -> anyhow::Result<Arc<dyn EventStore>> {
    let Ok(place) = std::env::var("BASCULE_CRASH_AT") else { return Ok(inner) };
    let (moment, event_type) = match place.split_once(':') {
        Some(("before", event_type)) => (Moment::Before, event_type.to_owned()),
        Some(("after", event_type)) => (Moment::After, event_type.to_owned()),
        _ => anyhow::bail!("BASCULE_CRASH_AT: expected before:<event type> or after:<event type>"),
    };
    Ok(Arc::new(CrashingStore { inner, moment, event_type }))
}

impl Decorator for CrashingStore {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        let here = requests
            .iter()
            .flat_map(|request| &request.events)
            .any(|event| event.event_type.as_str() == self.event_type);
        if here && self.moment == Moment::Before {
            std::process::abort();
        }
        let appended = self.inner.append_many(requests).await;
        if here && self.moment == Moment::After && appended.is_ok() {
            std::process::abort();
        }
        appended
    }
}
