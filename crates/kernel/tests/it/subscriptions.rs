//! A module's database in memory: rows are texts, and what a transaction did becomes visible at its
//! commit, if the lease is still its owner's by then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kernel::checkpoint::{
    Checkpoint, CheckpointError, ParkedEvent, Registration, SubscriptionStatus, SubscriptionStore,
};
use kernel::event::Position;
use kernel::lease::{Lease, LeaseStatus};
use kernel::seams::{Clock, SystemClock, new_id};
use kernel::store::BoxError;
use kernel::subscription::SubscriptionKind;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// How this database says that it cannot be used now.
pub const DISK_FULL: &str = "the disk is full";

#[derive(Debug, Clone)]
struct Row {
    kind: SubscriptionKind,
    checkpoint: Checkpoint,
    families: BTreeSet<String>,
    lease: Option<(String, Uuid, Instant)>,
    last_error: Option<String>,
    reset_at: DateTime<Utc>,
    stopped: bool,
    waiting_since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Default)]
pub struct Content {
    pub rows: Vec<String>,
    subscriptions: BTreeMap<String, Row>,
    parked: BTreeMap<(String, Position), ParkedEvent>,
    /// How often each checkpoint was written.
    pub saves: BTreeMap<String, u32>,
}

impl Content {
    /// Where a subscription's checkpoint is; 0 if it has none.
    pub fn position(&self, subscription: &str) -> Position {
        self.subscriptions.get(subscription).map_or(0, |row| row.checkpoint.position)
    }

    pub fn parked(&self, subscription: &str) -> Vec<ParkedEvent> {
        let of_it = self.parked.iter().filter(|((name, _), _)| name == subscription);
        of_it.map(|(_, event)| event.clone()).collect()
    }

    /// Who has the lease, expired or not.
    pub fn owner(&self, subscription: &str) -> Option<String> {
        let row = self.subscriptions.get(subscription)?;
        row.lease.as_ref().map(|(owner, ..)| owner.clone())
    }

    pub fn last_error(&self, subscription: &str) -> Option<String> {
        self.subscriptions.get(subscription)?.last_error.clone()
    }

    /// Gives the lease to somebody else for good.
    pub fn take_over(&mut self, subscription: &str) {
        let until = Instant::now() + Duration::from_secs(3600);
        self.row(subscription).lease = Some(("somebody".to_owned(), new_id(), until));
    }

    fn row(&mut self, subscription: &str) -> &mut Row {
        self.subscriptions.get_mut(subscription).expect("it is registered")
    }

    /// Fails unless the row is as its owner believes.
    fn expect(&self, lease: &Lease, from: Option<Position>) -> Result<(), CheckpointError> {
        let subscription = lease.subscription.clone();
        let row = self.subscriptions.get(&subscription);
        let holder = row.and_then(|row| row.lease.as_ref());
        if holder.is_none_or(|(_, token, _)| *token != lease.token) {
            let holder = holder.map(|(owner, ..)| owner.clone());
            return Err(CheckpointError::LeaseLost { subscription, holder });
        }
        let found = self.position(&subscription);
        match from.filter(|from| *from != found) {
            Some(expected) => Err(CheckpointError::Elsewhere { subscription, expected, found }),
            None => Ok(()),
        }
    }

    fn status(&self, subscription: &str) -> Option<SubscriptionStatus> {
        let row = self.subscriptions.get(subscription)?;
        let now = Instant::now();
        let lease = row.lease.as_ref().map(|(owner, token, until)| LeaseStatus {
            owner: owner.clone(),
            token: *token,
            expires_at: SystemClock.now() + until.saturating_duration_since(now),
            expired: *until <= now,
            handed_over: false,
        });
        Some(SubscriptionStatus {
            subscription: subscription.to_owned(),
            kind: row.kind,
            checkpoint: row.checkpoint,
            updated_at: SystemClock.now(),
            families: row.families.clone(),
            lease,
            last_error: row.last_error.clone().map(|error| (error, SystemClock.now())),
            parked: self.parked(subscription).len() as u64,
            reset_at: row.reset_at,
            stopped: row.stopped,
            waiting_since: row.waiting_since,
        })
    }
}

type Change = Box<dyn FnOnce(&mut Content) + Send>;

pub struct Transaction {
    /// What it added.
    pub rows: Vec<String>,
    fence: Option<(Lease, Position)>,
    changes: Vec<Change>,
}

impl Transaction {
    fn will(&mut self, change: impl FnOnce(&mut Content) + Send + 'static) {
        self.changes.push(Box::new(change));
    }
}

#[derive(Clone)]
pub struct MemoryDatabase {
    content: Arc<Mutex<Content>>,
    changes: Arc<watch::Sender<u64>>,
    away: Arc<AtomicBool>,
    commits_take_ms: Arc<AtomicU64>,
    /// Number of operations that were refused.
    refused: Arc<watch::Sender<u64>>,
    /// Number of commits that began.
    begun: Arc<watch::Sender<u64>>,
}

impl MemoryDatabase {
    pub fn new() -> Self {
        let changes = Arc::new(watch::channel(0).0);
        let (content, away, commits_take_ms, refused, begun) = <_>::default();
        Self { content, changes, away, commits_take_ms, refused, begun }
    }

    /// Nothing can be read or written until it is back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on every commit takes so long.
    pub fn set_commits_take(&self, time: Duration) {
        self.commits_take_ms.store(time.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// Waits until a further operation is refused.
    pub async fn until_refused(&self) {
        self.refused.subscribe().changed().await.unwrap();
    }

    /// Waits until a further commit begins.
    pub async fn until_committing(&self) {
        self.begun.subscribe().changed().await.unwrap();
    }

    fn available(&self) -> Result<(), CheckpointError> {
        match self.away.load(Ordering::SeqCst) {
            true => {
                self.refused.send_modify(|refused| *refused += 1);
                Err(CheckpointError::Unavailable("the database is away".into()))
            }
            false => Ok(()),
        }
    }

    pub fn content(&self) -> Content {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// Changes the content behind everybody's back.
    pub fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let result = change(&mut self.locked());
        self.changes.send_modify(|changes| *changes += 1);
        result
    }

    /// A transaction of somebody who has no lease.
    pub fn begin(&self) -> Transaction {
        Transaction { rows: Vec::new(), fence: None, changes: Vec::new() }
    }

    /// Waits until the content is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Content) -> bool) -> Content {
        let mut changes = self.changes.subscribe();
        loop {
            let content = self.content();
            if wanted(&content) {
                return content;
            }
            changes.changed().await.unwrap();
        }
    }
}

impl SubscriptionStore for MemoryDatabase {
    type Transaction = Transaction;

    fn is_unavailable(error: &BoxError) -> bool {
        error.to_string() == DISK_FULL
    }

    async fn register(&self, registration: &Registration) -> Result<(), CheckpointError> {
        self.available()?;
        let Registration { subscription, kind, families, log_id } = registration.clone();
        self.change(|content| {
            let row = content.subscriptions.entry(subscription).or_insert_with(|| Row {
                kind,
                checkpoint: Checkpoint::beginning(log_id),
                families: BTreeSet::new(),
                lease: None,
                last_error: None,
                reset_at: SystemClock.now(),
                stopped: false,
                waiting_since: None,
            });
            if row.checkpoint.position == 0 {
                row.checkpoint.log_id = log_id;
            }
            let known = row.families.len();
            row.families.extend(families);
            if let Some((_, token, _)) = &mut row.lease
                && row.families.len() > known
            {
                *token = new_id();
            }
        });
        Ok(())
    }

    async fn acquire(
        &self,
        subscription: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, CheckpointError> {
        self.available()?;
        Ok(self.change(|content| {
            let row = content.row(subscription);
            let now = Instant::now();
            let is_free =
                row.lease.as_ref().is_none_or(|(other, _, until)| other == owner || *until <= now);
            if row.stopped || !is_free {
                return None;
            }
            let token = new_id();
            row.lease = Some((owner.to_owned(), token, now + ttl));
            Some(Lease {
                subscription: subscription.to_owned(),
                owner: owner.to_owned(),
                token,
                ttl,
                checkpoint: row.checkpoint,
                families: row.families.clone(),
            })
        }))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), CheckpointError> {
        self.available()?;
        self.change(|content| {
            content.expect(lease, None)?;
            let until = Instant::now() + lease.ttl;
            content.row(&lease.subscription).lease =
                Some((lease.owner.clone(), lease.token, until));
            Ok(())
        })
    }

    async fn tell_waiting(
        &self,
        lease: &Lease,
        waiting_since: Option<DateTime<Utc>>,
    ) -> Result<(), CheckpointError> {
        self.available()?;
        self.change(|content| {
            if content.expect(lease, None).is_ok() {
                content.row(&lease.subscription).waiting_since = waiting_since;
            }
        });
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), CheckpointError> {
        self.available()?;
        self.change(|content| {
            if content.expect(lease, None).is_ok() {
                content.row(&lease.subscription).lease = None;
            }
        });
        Ok(())
    }

    async fn release_all(&self) -> Result<(), CheckpointError> {
        self.change(|content| {
            content.subscriptions.values_mut().for_each(|row| row.lease = None);
        });
        Ok(())
    }

    async fn begin_fenced(
        &self,
        lease: &Lease,
        from: Position,
        to: Checkpoint,
    ) -> Result<Transaction, CheckpointError> {
        self.available()?;
        self.locked().expect(lease, Some(from))?;
        let mut transaction = self.begin();
        transaction.fence = Some((lease.clone(), from));
        let lease = lease.clone();
        transaction.will(move |content| {
            let row = content.row(&lease.subscription);
            row.checkpoint = to;
            row.lease = Some((lease.owner, lease.token, Instant::now() + lease.ttl));
            *content.saves.entry(lease.subscription).or_default() += 1;
        });
        Ok(transaction)
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), CheckpointError> {
        self.begun.send_modify(|begun| *begun += 1);
        let takes = self.commits_take_ms.load(Ordering::SeqCst);
        if takes > 0 {
            tokio::time::sleep(Duration::from_millis(takes)).await;
        }
        self.available()?;
        let Transaction { rows, fence, changes } = transaction;
        self.change(|content| {
            // What a database does by locking the row from the start.
            if let Some((lease, from)) = fence {
                content.expect(&lease, Some(from))?;
            }
            content.rows.extend(rows);
            for change in changes {
                change(content);
            }
            Ok(())
        })
    }

    async fn status(
        &self,
        subscription: &str,
    ) -> Result<Option<SubscriptionStatus>, CheckpointError> {
        self.available()?;
        Ok(self.locked().status(subscription))
    }

    async fn statuses(&self) -> Result<Vec<SubscriptionStatus>, CheckpointError> {
        let content = self.locked();
        Ok(content.subscriptions.keys().filter_map(|name| content.status(name)).collect())
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(self.status(subscription).await?.map(|status| status.checkpoint))
    }

    async fn record_error(&self, subscription: &str, error: &str) -> Result<(), CheckpointError> {
        self.change(|content| content.row(subscription).last_error = Some(error.to_owned()));
        Ok(())
    }

    async fn stop(
        &self,
        subscription: &str,
        reset_at: DateTime<Utc>,
    ) -> Result<(), CheckpointError> {
        self.available()?;
        self.change(|content| {
            let row = content.row(subscription);
            if row.reset_at <= reset_at {
                row.stopped = true;
                row.lease = None;
            }
        });
        Ok(())
    }

    async fn restart(&self, subscription: &str, log_id: Uuid) -> Result<(), CheckpointError> {
        let mut transaction = self.begin();
        let beginning = Checkpoint::beginning(log_id);
        self.reset(&mut transaction, subscription, beginning, &[]).await?;
        self.commit(transaction).await
    }

    async fn reset(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        checkpoint: Checkpoint,
        parked: &[ParkedEvent],
    ) -> Result<(), CheckpointError> {
        let (subscription, parked) = (subscription.to_owned(), parked.to_vec());
        transaction.will(move |content| {
            let row = content.row(&subscription);
            row.checkpoint = checkpoint;
            row.lease = None;
            row.stopped = false;
            row.reset_at = SystemClock.now();
            content.parked.retain(|(name, _), _| *name != subscription);
            let parked = parked.into_iter();
            content
                .parked
                .extend(parked.map(|event| ((subscription.clone(), event.position), event)));
        });
        Ok(())
    }

    async fn park(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        let (place, event) = ((subscription.to_owned(), event.position), event.clone());
        transaction.will(move |content| {
            content.parked.entry(place).or_insert(event);
        });
        Ok(())
    }

    async fn park_again(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        let (subscription, event) = (subscription.to_owned(), event.clone());
        transaction.will(move |content| {
            for ((name, position), parked) in &mut content.parked {
                if *name == subscription && parked.key == event.key {
                    parked.replay_requested = false;
                    if *position == event.position {
                        parked.clone_from(&event);
                    }
                }
            }
        });
        Ok(())
    }

    async fn unpark(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        position: Position,
    ) -> Result<(), CheckpointError> {
        let place = (subscription.to_owned(), position);
        transaction.will(move |content| {
            content.parked.remove(&place);
        });
        Ok(())
    }

    async fn parked_keys(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        let parked = self.locked().parked(subscription);
        let keys: BTreeSet<_> = parked.into_iter().map(|event| event.key).collect();
        Ok(keys.into_iter().collect())
    }

    async fn parked_events(
        &self,
        subscription: &str,
        key: Option<&str>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, CheckpointError> {
        let mut parked = self.locked().parked(subscription);
        parked.retain(|event| event.position > after && key.is_none_or(|key| key == event.key));
        parked.truncate(limit);
        Ok(parked)
    }

    async fn keys_to_replay(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        let mut keys = self.parked_keys(subscription).await?;
        let parked = self.locked().parked(subscription);
        keys.retain(|key| {
            let mut of_key = parked.iter().filter(|event| event.key == *key).peekable();
            of_key.peek().is_some_and(|first| first.attempts == 0)
                || of_key.any(|event| event.replay_requested)
        });
        Ok(keys)
    }

    async fn request_replay(
        &self,
        subscription: &str,
        position: Position,
    ) -> Result<bool, CheckpointError> {
        let place = (subscription.to_owned(), position);
        Ok(self.change(|content| {
            let found = content.parked.get_mut(&place);
            found.map(|event| event.replay_requested = true).is_some()
        }))
    }

    async fn discard(
        &self,
        subscription: &str,
        position: Position,
    ) -> Result<bool, CheckpointError> {
        let place = (subscription.to_owned(), position);
        Ok(self.change(|content| content.parked.remove(&place).is_some()))
    }
}
