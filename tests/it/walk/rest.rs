//! When everything has come to rest: no subscription has an event before it that it wants and has not
//! finished. Told from the checkpoints, never from the time that has passed.
//!
//! One subscription waits by itself: the reactor that calls the payment provider holds its checkpoint
//! back for each payment that the provider does not decide, until the payment's deadline. What else it
//! has finished is told from what it has recorded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event_contract::Published as _;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::{Position, RecordedEvent, StreamName};
use payments::provider::{ChargeStatus, PaymentProvider as _};
use payments_contract::{PaymentCancelled, PaymentRequested};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::system::{Running, System};

/// Longer than anything takes; only a failing test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
const PROVIDER_CALLS: &str = "payments.provider-calls";

/// Waits for rest, again and again.
#[derive(Default)]
pub(super) struct Resting {
    calls: Calls,
}

impl Resting {
    /// Waits until everything has come to rest, but for payments that wait for their deadline.
    pub(super) async fn reached(&mut self, system: &System) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(busy) = self.busy(system).await {
            assert!(Instant::now() < deadline, "it does not come to rest: {busy}");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// No payment that was requested so far has a reason to wait any more.
    pub(super) fn deadlines_passed(&mut self) {
        self.calls.due_to = self.calls.read_to;
    }

    /// What is not finished, if anything.
    async fn busy(&mut self, system: &System) -> Option<String> {
        let store = &system.environment.store;
        let head = store.head().await.unwrap();
        for one in system.running.iter().filter(|one| one.name != PROVIDER_CALLS) {
            if let Some(event) = first_unfinished(system, one).await {
                return Some(format!("{} has not finished {}", one.name, told(&event)));
            }
        }
        let calls = system.running.iter().find(|one| one.name == PROVIDER_CALLS).unwrap();
        if let Some(event) = self.calls.first_under_way(system, calls).await {
            return Some(format!("{PROVIDER_CALLS} has not finished {}", told(&event)));
        }
        // What one subscription did meanwhile is for the others to handle.
        (store.head().await.unwrap() != head).then(|| "the log grows".to_owned())
    }
}

/// The first wanted event after a subscription's checkpoint.
async fn first_unfinished(system: &System, one: &Running) -> Option<Arc<RecordedEvent>> {
    let checkpoint = one.database.checkpoint(&one.name).await.unwrap();
    let mut position = checkpoint.map_or(0, |checkpoint| checkpoint.position);
    loop {
        let page = system.environment.store.read_log(position, &one.filter, 1).await.unwrap();
        if page.scanned_to == position || !page.events.is_empty() {
            return page.events.into_iter().next();
        }
        position = page.scanned_to;
    }
}

/// What the reactor is called for, followed along the log.
#[derive(Default)]
struct Calls {
    read_to: Position,
    /// Payments requested up to here are past their deadline.
    due_to: Position,
    /// What it was called for and has not finished, oldest first.
    open: Vec<Arc<RecordedEvent>>,
    /// Those of them that the provider has and does not decide.
    waiting: HashSet<Uuid>,
    /// The events that it has answered with another one.
    answered: HashSet<Uuid>,
    /// The charge of each payment: what recognises it is the id of its first event.
    charges: HashMap<StreamName, Uuid>,
    last: HashMap<StreamName, Position>,
}

impl Calls {
    async fn first_under_way(
        &mut self,
        system: &System,
        calls: &Running,
    ) -> Option<Arc<RecordedEvent>> {
        self.read_on(system, calls).await;
        let mut first = None;
        for event in std::mem::take(&mut self.open) {
            if self.is_over(system, &event).await {
                continue;
            }
            let waits = self.waiting.contains(&event.id) && event.position > self.due_to;
            if !waits && first.is_none() {
                first = Some(Arc::clone(&event));
            }
            self.open.push(event);
        }
        first
    }

    async fn read_on(&mut self, system: &System, calls: &Running) {
        for event in system.log(self.read_to).await {
            self.read_to = event.position;
            if &*event.metadata.actor == PROVIDER_CALLS {
                self.answered.extend(event.metadata.causation_id);
            }
            self.charges.entry(event.stream.clone()).or_insert(event.id);
            self.last.insert(event.stream.clone(), event.position);
            if calls.filter.matches(&event.event_type) {
                self.open.push(event);
            }
        }
    }

    /// Whether nothing more is done about an event.
    async fn is_over(&mut self, system: &System, event: &RecordedEvent) -> bool {
        let is_followed = self.last[&event.stream] > event.position;
        match event.event_type.as_ref() {
            _ if self.answered.contains(&event.id) => true,
            PaymentRequested::TYPE if is_followed => true,
            PaymentRequested::TYPE => {
                if !self.waiting.contains(&event.id)
                    && self.charge(system, event).await == ChargeStatus::Pending
                {
                    self.waiting.insert(event.id);
                }
                false
            }
            // Nothing is recorded when the provider confirms that nothing was taken.
            PaymentCancelled::TYPE => match self.charge(system, event).await {
                ChargeStatus::Cancelled | ChargeStatus::Declined { .. } => true,
                // The charge may have been answered after the cancellation, and recorded so.
                ChargeStatus::Captured { .. } => is_followed,
                ChargeStatus::Pending | ChargeStatus::NotFound => false,
            },
            _ => false,
        }
    }

    /// Where the provider stands with the charge of an event's payment.
    async fn charge(&self, system: &System, event: &RecordedEvent) -> ChargeStatus {
        system.provider.lookup(self.charges[&event.stream]).await.unwrap()
    }
}

fn told(event: &RecordedEvent) -> String {
    format!("{} in {} at {}", &*event.event_type, event.stream.as_str(), event.position)
}
