//! Waits for the lease while another replica holds it. Meanwhile a projection reports exactly how
//! far its read model is, because this replica answers queries from it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::held_lease::HeldLease;
use super::interruption::Interruption;
use super::lag;
use super::replica::Replica;
use crate::authoring::checkpoint::{CheckpointError, SubscriptionStatus, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::authoring::subscription::{SubscriptionKind, SubscriptionState};
use crate::log::event::{EventFilter, Position};
use crate::log::reader::LogReader;
use crate::log::store::ReadError;

/// How often the stored checkpoint is read while a selected event is not completed: the price for
/// seeing another replica's writes soon.
const POLL: Duration = Duration::from_millis(20);
const PAGE: usize = 500;
/// Maximum number of selected events that a standby remembers. It reads on when some of them are
/// completed.
const MOST_OUTSTANDING: usize = 10_000;

impl<S: SubscriptionStore> Replica<S> {
    /// Waits until the lease is free and acquires it.
    pub(super) async fn lease_when_free(&mut self) -> Result<HeldLease<S>, Interruption> {
        let mut outlook = None;
        let mut attempts = interval(self.environment.runtime.tick());
        let mut polls = interval(POLL);
        for ticks in [&mut attempts, &mut polls] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = attempts.tick() => {}
                _ = polls.tick(), if outlook.as_ref().is_some_and(Outlook::is_outstanding) => {
                    let checkpoint = self.store.checkpoint(&self.identity.name).await?;
                    if let (Some(outlook), Some(checkpoint)) = (&mut outlook, checkpoint) {
                        outlook.stored(checkpoint.position);
                    }
                    self.publish(outlook.as_ref());
                    continue;
                }
                scanned = scan(&mut outlook) => {
                    scanned?;
                    self.publish(outlook.as_ref());
                    continue;
                }
            }
            // Recreate a row that was removed while the server runs.
            let Some(status) = self.status().await? else {
                self.register().await?;
                continue;
            };
            if status.stopped {
                return Err(self.another_log());
            }
            self.notice_reset(&status).await?;
            if self.is_wanted(&status)
                && let Some(lease) = self.try_acquire().await?
            {
                return Ok(lease);
            }
            self.stand_by(&status, &mut outlook)?;
        }
    }

    async fn status(&self) -> Result<Option<SubscriptionStatus>, CheckpointError> {
        self.store.status(&self.identity.name).await
    }

    /// Remembers when the subscription was last reset. A new reset may have repaired the effects of
    /// a failover that this replica has not noticed yet, so the log is checked first.
    async fn notice_reset(&mut self, status: &SubscriptionStatus) -> Result<(), Interruption> {
        if self.reset_at != Some(status.reset_at) {
            self.environment.store.head().await?;
            self.expect_no_return()?;
            self.reset_at = Some(status.reset_at);
        }
        Ok(())
    }

    /// Returns whether this replica should run the subscription.
    fn is_wanted(&self, status: &SubscriptionStatus) -> bool {
        let is_free =
            status.lease.as_ref().is_none_or(|lease| !lease.is_of_another_than(&self.owner));
        let stored = status.checkpoint.position;
        is_free && self.beyond.as_ref().is_none_or(|beyond| beyond.is_over(stored))
    }

    /// Processes the progress of another replica.
    fn stand_by(
        &mut self,
        status: &SubscriptionStatus,
        outlook: &mut Option<Outlook>,
    ) -> Result<(), Interruption> {
        lag::report_parked(status);
        // The state of a departed owner is unknown.
        let runs = status.lease.as_ref().is_some_and(|lease| !lease.expired && !lease.handed_over);
        self.backlog.set(status.waiting_since.filter(|_| runs));
        if status.checkpoint.log_id != self.environment.store.log_id() {
            return Err(self.another_log());
        }
        let stored = status.checkpoint.position;
        self.beyond.take_if(|beyond| beyond.is_over(stored));
        if self.identity.kind == SubscriptionKind::Projection {
            if outlook.as_ref().is_none_or(|outlook| outlook.families != status.families) {
                let filter = self.identity.filter(&status.families);
                let families = status.families.clone();
                *outlook = Some(Outlook::new(&self.environment, filter, families, stored));
            }
            if let Some(outlook) = outlook {
                outlook.stored(stored);
            }
            self.publish(outlook.as_ref());
        } else {
            self.position.send_replace(stored);
        }
        let state = match (&self.beyond, &status.lease) {
            (Some(beyond), _) => SubscriptionState::Incapable {
                event_type: beyond.event_type.clone(),
                position: beyond.position,
            },
            (None, Some(lease)) if lease.handed_over => {
                SubscriptionState::HandedOver { to: lease.owner.clone() }
            }
            (None, Some(lease)) => SubscriptionState::Standby { owner: lease.owner.clone() },
            // Another replica acquired the lease but has not recorded itself as owner yet.
            (None, None) => return Ok(()),
        };
        self.state.send_if_modified(|known| {
            let news = *known != state;
            *known = state;
            news
        });
        Ok(())
    }

    fn publish(&self, outlook: Option<&Outlook>) {
        let Some(position) = outlook.map(Outlook::position) else { return };
        self.position.send_if_modified(|known| {
            let news = *known != position;
            *known = position;
            news
        });
    }
}

/// Reads on in the log if there is an outlook; otherwise waits forever.
async fn scan(outlook: &mut Option<Outlook>) -> Result<(), ReadError> {
    match outlook {
        Some(outlook) => outlook.scan().await,
        None => std::future::pending().await,
    }
}

/// A standby's knowledge of the log beyond the stored checkpoint.
struct Outlook {
    environment: Environment,
    filter: EventFilter,
    families: BTreeSet<String>,
    reader: LogReader,
    stored: Position,
    scanned_to: Position,
    /// Selected events after the stored checkpoint, in order.
    outstanding: VecDeque<Position>,
}

impl Outlook {
    fn new(
        environment: &Environment,
        filter: EventFilter,
        families: BTreeSet<String>,
        stored: Position,
    ) -> Self {
        let reader = LogReader::new(Arc::clone(&environment.store), stored, filter.clone());
        Self {
            environment: environment.clone(),
            filter,
            families,
            reader,
            stored,
            scanned_to: stored,
            outstanding: VecDeque::new(),
        }
    }

    /// Returns the position up to which the read model is complete: events after the stored
    /// checkpoint count as applied as long as none of them is selected.
    fn position(&self) -> Position {
        self.outstanding.front().map_or(self.scanned_to.max(self.stored), |next| next - 1)
    }

    fn is_outstanding(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Processes a new position of the stored checkpoint.
    fn stored(&mut self, stored: Position) {
        let went_back = stored < self.stored;
        self.stored = stored;
        while self.outstanding.front().is_some_and(|next| *next <= stored) {
            self.outstanding.pop_front();
        }
        if went_back || stored > self.scanned_to {
            self.outstanding.clear();
            self.scanned_to = stored;
            let log = Arc::clone(&self.environment.store);
            self.reader = LogReader::new(log, stored, self.filter.clone());
        }
    }

    /// Reads on and waits for the log to grow. Cancel-safe: dropping it before completion has no
    /// effect.
    async fn scan(&mut self) -> Result<(), ReadError> {
        if self.outstanding.len() >= MOST_OUTSTANDING {
            std::future::pending::<()>().await;
        }
        loop {
            let page = self.reader.page(PAGE).await?;
            if page.scanned_to > self.scanned_to {
                self.scanned_to = page.scanned_to;
                self.outstanding.extend(page.events.iter().map(|event| event.position));
                return Ok(());
            }
            self.reader.wait().await;
        }
    }
}
