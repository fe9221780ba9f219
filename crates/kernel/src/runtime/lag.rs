//! Measures how far a subscription is behind, in every state: also while it is interrupted, stopped,
//! or blocked in a call that does not return.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::authoring::checkpoint::SubscriptionStatus;
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::subscription::SubscriptionState;
use crate::log::event::{EventFilter, Position};
use crate::log::store::ReadError;

const EVERY: Duration = Duration::from_secs(1);

/// Sets the gauges of a subscription once a second, forever:
///
/// - `subscription_lag_events`: positions of the log after the last completed one, see [`behind`];
/// - `subscription_lag_seconds`: age of the oldest selected event that is not completed, 0 if all
///   are;
/// - `subscription_owner`: 1 on the replica that runs it;
/// - `subscription_stopped`: 1 while it needs an operator's intervention.
pub(super) async fn observe(
    identity: Arc<Identity>,
    environment: Environment,
    position: watch::Receiver<Position>,
    state: watch::Receiver<SubscriptionState>,
) {
    let gauge = |name| metrics::gauge!(name, "subscription" => identity.name.clone());
    let events = gauge("subscription_lag_events");
    let seconds = gauge("subscription_lag_seconds");
    let owner = gauge("subscription_owner");
    let stopped = gauge("subscription_stopped");
    let mut oldest = Oldest::new(EventFilter::families_of(identity.types.iter().copied()));
    let mut incarnation = environment.store.watch_incarnation();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let SubscriptionState::HandedOver { .. } = *state.borrow() {
            // The replica that runs the subscription reports its gauges.
            for gauge in [&events, &seconds, &owner, &stopped] {
                gauge.set(0.0);
            }
            continue;
        }
        if incarnation.has_changed().unwrap_or(false) {
            incarnation.mark_unchanged();
            oldest = Oldest::new(oldest.filter);
        }
        let done = *position.borrow();
        let head = *environment.store.watch_head().borrow();
        events.set(behind(head, done) as f64);
        match oldest.after(done, head, &environment).await {
            Ok(recorded_at) => {
                let age = recorded_at
                    .map_or(0, |at| (environment.clock.now() - at).num_milliseconds().max(0));
                seconds.set(age as f64 / 1000.0);
            }
            // The subscription itself reports this error in its state.
            Err(error) => tracing::debug!(%error, "cannot measure the lag"),
        }
        let (runs, stops) = match *state.borrow() {
            SubscriptionState::Running => (1.0, 0.0),
            SubscriptionState::Stopped(_) => (0.0, 1.0),
            _ => (0.0, 0.0),
        };
        owner.set(runs);
        stopped.set(stops);
    }
}

/// Returns how many positions of a log that ends at `head` follow the completed one. Negative if the
/// completed position is beyond the end of the log: the log went back to an earlier state.
pub fn behind(head: Position, done: Position) -> i64 {
    // Positions have 63 bits in every store.
    head.cast_signed().saturating_sub(done.cast_signed())
}

/// Sets the gauge `subscription_parked_events`. Events of a handed-over subscription are parked at
/// its new host.
pub(super) fn report_parked(status: &SubscriptionStatus) {
    let is_elsewhere = status.lease.as_ref().is_some_and(|lease| lease.handed_over);
    let parked = if is_elsewhere { 0 } else { status.parked };
    metrics::gauge!("subscription_parked_events", "subscription" => status.subscription.clone())
        .set(parked as f64);
}

/// Finds the oldest selected event that is not completed.
struct Oldest {
    filter: EventFilter,
    /// The completed position at the last call.
    done: Position,
    /// No selected event stands between the completed position and this one.
    looked_to: Position,
    found: Option<(Position, DateTime<Utc>)>,
}

impl Oldest {
    fn new(filter: EventFilter) -> Self {
        Self { filter, done: 0, looked_to: 0, found: None }
    }

    /// Returns when the oldest selected event after `done` was recorded, if there is one up to
    /// `head`. Reads at most one page; the next call continues from there.
    async fn after(
        &mut self,
        done: Position,
        head: Position,
        environment: &Environment,
    ) -> Result<Option<DateTime<Utc>>, ReadError> {
        let went_back = done < self.done;
        self.done = done;
        if went_back {
            self.looked_to = done;
        }
        self.looked_to = self.looked_to.max(done);
        self.found = self.found.filter(|(position, _)| *position > done && !went_back);
        if self.found.is_none() && self.looked_to < head {
            let page = environment.store.read_log(self.looked_to, &self.filter, 1).await?;
            self.found = page.events.first().map(|event| (event.position, event.recorded_at));
            if self.found.is_none() {
                self.looked_to = page.scanned_to;
            }
        }
        Ok(self.found.map(|(_, recorded_at)| recorded_at))
    }
}
