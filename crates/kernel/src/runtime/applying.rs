//! Runs a projection under its lease: turns batches of events into rows, each batch in one
//! transaction.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::feed::{Batch, Decoded, Feed};
use super::held_lease::HeldLease;
use super::interruption::Interruption;
use super::parking::{ParkedKeys, first_of_key, recorded, unless_unavailable};
use super::supervision::Worker;
use crate::authoring::checkpoint::{Checkpoint, ParkedEvent, SubscriptionStore};
use crate::authoring::codec::Envelope;
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::projection::Projection;
use crate::log::backoff;
use crate::log::event::Position;
use crate::log::store::BoxError;

/// How often a failing event is tried in a transaction of its own before it is parked.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of parked events retried before live events continue.
const REPLAYED_AT_ONCE: usize = 200;

/// The work of a projection while it holds the lease.
pub(super) struct Applying<P: Projection> {
    projection: P,
    identity: Arc<Identity>,
    environment: Environment,
    store: Arc<P::Store>,
    progress: watch::Sender<Position>,
    /// How far the log was scanned after the stored checkpoint without a selected event.
    unsaved: Option<Checkpoint>,
}

impl<P: Projection> Worker<P::Store> for Applying<P> {
    async fn work(&mut self, lease: &mut HeldLease<P::Store>) -> Result<Infallible, Interruption> {
        self.follow(lease, None, &mut |_| ()).await?;
        // Without a target position the run never ends.
        std::future::pending().await
    }

    fn stop(&mut self) -> Option<Checkpoint> {
        self.unsaved.take()
    }
}

impl<P: Projection> Applying<P> {
    pub(super) fn new(
        projection: P,
        identity: Arc<Identity>,
        environment: Environment,
        store: Arc<P::Store>,
        progress: watch::Sender<Position>,
    ) -> Self {
        Self { projection, identity, environment, store, progress, unsaved: None }
    }

    /// Applies the selected events after the stored checkpoint; stops at a position if one is given.
    pub(super) async fn follow(
        &mut self,
        lease: &mut HeldLease<P::Store>,
        until: Option<Position>,
        report: &mut (dyn FnMut(Position) + Send),
    ) -> Result<(), Interruption> {
        self.unsaved = None;
        if until.is_some_and(|until| lease.stored() >= until) {
            return Ok(());
        }
        let mut parked = ParkedKeys::load(&*self.store, &self.identity.name).await?;
        let filter = self.identity.filter(lease.families());
        let mut feed =
            Feed::<P::Event>::start(&self.environment, filter, lease.checkpoint(), until);
        let mut ticks = lease.ticks();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    lease.keep().await?;
                    if lease.may_save_idle() {
                        self.save_idle(lease).await?;
                    }
                    if !parked.is_empty() && self.replay(lease, &mut parked).await? {
                        ticks.reset_immediately();
                    }
                }
                batch = feed.next() => {
                    let batch = batch?;
                    let to = batch.to;
                    self.take(lease, batch, &mut parked).await?;
                    lease.expect_no_return()?;
                    self.progress.send_replace(to.position);
                    lease.working();
                    report(to.position);
                    if until.is_some_and(|until| to.position >= until) {
                        return self.save_idle(lease).await;
                    }
                }
            }
        }
    }

    /// Saves how far the log was scanned without a selected event.
    async fn save_idle(&mut self, lease: &mut HeldLease<P::Store>) -> Result<(), Interruption> {
        if let Some(to) = self.unsaved.take() {
            lease.save(to).await?;
        }
        Ok(())
    }

    async fn take(
        &mut self,
        lease: &mut HeldLease<P::Store>,
        batch: Batch<P::Event>,
        parked: &mut ParkedKeys,
    ) -> Result<(), Interruption> {
        if batch.events.is_empty() {
            self.unsaved = (batch.to.position > lease.stored()).then_some(batch.to);
            return Ok(());
        }
        self.unsaved = None;
        let log_id = self.environment.store.log_id();
        let mut pieces = vec![(&batch.events[..], batch.to)];
        while let Some((piece, to)) = pieces.pop() {
            let Err(error) = self.apply(lease, piece, to, parked).await else { continue };
            let error = unless_unavailable::<P::Store>(error)?;
            match piece {
                [event] => self.insist(lease, event, to, error, parked).await?,
                // One of the events fails: halve the batch to find it.
                _ => {
                    let (first, second) = piece.split_at(piece.len() / 2);
                    pieces.push((second, to));
                    pieces.extend(first.last().map(|last| (first, last.checkpoint(log_id))));
                }
            }
        }
        Ok(())
    }

    /// Applies events in one transaction.
    async fn apply(
        &self,
        lease: &mut HeldLease<P::Store>,
        events: &[Decoded<P::Event>],
        to: Checkpoint,
        parked: &mut ParkedKeys,
    ) -> Result<(), BoxError> {
        let name = &self.identity.name;
        let mut fenced = lease.begin(to).await?;
        let transaction = &mut fenced.transaction;
        let mut damaged: Vec<ParkedEvent> = Vec::new();
        let mut whole = Vec::with_capacity(events.len());
        for Decoded { recorded, outcome } in events {
            let key = recorded.stream.as_str();
            if parked.holds(key) || damaged.iter().any(|event| event.key == key) {
                let waiting = ParkedEvent::waiting(recorded, key, self.environment.clock.now());
                self.store.park(transaction, name, &waiting).await?;
                continue;
            }
            match outcome {
                Ok(envelope) => whole.push(envelope),
                Err(error) => {
                    let now = self.environment.clock.now();
                    let event = ParkedEvent::failed(recorded, key, error, 1, now);
                    self.store.park(transaction, name, &event).await?;
                    damaged.push(event);
                }
            }
        }
        self.projection.project_all(transaction, &whole).await?;
        lease.commit(fenced).await?;
        for event in damaged {
            event.announce(name);
            parked.add(&event.key);
        }
        Ok(())
    }

    /// Retries a failing event and finally parks it. No event is parked while the database itself
    /// fails.
    async fn insist(
        &self,
        lease: &mut HeldLease<P::Store>,
        event: &Decoded<P::Event>,
        to: Checkpoint,
        mut error: BoxError,
        parked: &mut ParkedKeys,
    ) -> Result<(), Interruption> {
        let mut pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
        for _ in 1..ATTEMPTS {
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
            match self.apply(lease, std::slice::from_ref(event), to, parked).await {
                Ok(()) => return Ok(()),
                Err(again) => error = unless_unavailable::<P::Store>(again)?,
            }
        }
        let (recorded, now) = (&event.recorded, self.environment.clock.now());
        let key = recorded.stream.as_str();
        let event = ParkedEvent::failed(recorded, key, &*error, ATTEMPTS, now);
        let mut fenced = lease.begin(to).await?;
        self.store.park(&mut fenced.transaction, &self.identity.name, &event).await?;
        lease.commit(fenced).await?;
        event.announce(&self.identity.name);
        parked.add(key);
        Ok(())
    }

    /// Retries parked events if a retry was requested. Returns `true` if some remain for the next
    /// call.
    async fn replay(
        &self,
        lease: &mut HeldLease<P::Store>,
        parked: &mut ParkedKeys,
    ) -> Result<bool, Interruption> {
        let name = &self.identity.name;
        // Parked events may have been discarded meanwhile.
        *parked = ParkedKeys::load(&*self.store, name).await?;
        let mut left = REPLAYED_AT_ONCE;
        for key in self.store.keys_to_replay(name).await? {
            while let Some(event) = first_of_key(&*self.store, name, &key).await? {
                if left == 0 {
                    return Ok(true);
                }
                left -= 1;
                if !self.replay_one(lease, event).await? {
                    break;
                }
            }
        }
        *parked = ParkedKeys::load(&*self.store, name).await?;
        Ok(false)
    }

    /// Retries a parked event. Returns whether it is no longer parked.
    async fn replay_one(
        &self,
        lease: &mut HeldLease<P::Store>,
        event: ParkedEvent,
    ) -> Result<bool, Interruption> {
        let name = &self.identity.name;
        let position = event.position;
        let here = lease.checkpoint();
        let failure = match self.read_parked(&event).await? {
            Err(error) => error,
            Ok(decoded) => {
                let mut fenced = lease.begin(here).await?;
                let transaction = &mut fenced.transaction;
                match self.projection.project(transaction, &decoded).await {
                    Ok(()) => {
                        self.store.unpark(transaction, name, position).await?;
                        lease.commit(fenced).await?;
                        tracing::info!(subscription = name, position, "handled a parked event");
                        return Ok(true);
                    }
                    Err(error) => unless_unavailable::<P::Store>(error)?,
                }
            }
        };
        let event = event.failed_again(&*failure, 1);
        let mut fenced = lease.begin(here).await?;
        self.store.park_again(&mut fenced.transaction, name, &event).await?;
        lease.commit(fenced).await?;
        event.announce(name);
        Ok(false)
    }

    /// Reads a parked event from the log. The inner error is permanent.
    async fn read_parked(
        &self,
        event: &ParkedEvent,
    ) -> Result<Result<Envelope<P::Event>, BoxError>, Interruption> {
        let recorded = match recorded(&self.environment, event).await? {
            Ok(recorded) => recorded,
            Err(gone) => return Ok(Err(gone.into())),
        };
        match self.environment.codec.decode(recorded).await {
            Ok(envelope) => Ok(Ok(envelope)),
            Err(error) if error.is_transient() && !error.is_of_newer_release() => {
                Err(Interruption::OutOfReach(error.into()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }
}
