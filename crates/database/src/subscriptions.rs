//! Checkpoints, leases and parked events in a module's own database.

mod statements;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kernel::checkpoint::{
    Checkpoint, CheckpointError, ParkedEvent, Registration, SubscriptionStatus, SubscriptionStore,
};
use kernel::event::Position;
use kernel::lease::{Lease, LeaseStatus};
use kernel::seams::new_id;
use kernel::store::BoxError;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::statements::STATEMENTS;
use self::statements::{
    ACQUIRE, CHECKPOINT, DURABLE, FENCE, FORGET, HOLDER, KEYS_TO_REPLAY, LOCK, PARK, PARK_AGAIN,
    PARKED_KEYS, PARKED_OF_KEY, RECORD_ERROR, REGISTER, REGISTERED, RELEASE, RELEASE_ALL, RENEW,
    REQUEST_REPLAY, RESET, SEIZE, STATUS, STATUSES, STOP, TAKE_LOG, TELL_WAITING, UNPARK, WIDEN,
};
pub(crate) use self::statements::{FORGET_ANSWERS, PARKED, UNPARK_ALL};
use crate::remembered::Remembered;
use crate::{Database, DatabaseError, Row, Transaction};

impl From<DatabaseError> for CheckpointError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

fn unknown(subscription: &str) -> CheckpointError {
    CheckpointError::Unknown { subscription: subscription.to_owned() }
}

pub(crate) fn checkpoint(row: &Row) -> Result<Checkpoint, DatabaseError> {
    Ok(Checkpoint {
        log_id: row.get("log_id")?,
        position: position(row)?,
        event_id: row.get("event_id")?,
    })
}

/// Returns the stored checkpoint of a subscription, as a transaction sees it.
pub(crate) async fn checkpoint_in(
    transaction: &mut Transaction,
    subscription: &str,
) -> Result<Option<Checkpoint>, DatabaseError> {
    let row = transaction.query(&REGISTERED).bind(subscription).fetch_optional().await?;
    row.as_ref().map(checkpoint).transpose()
}

/// Removes all records of a subscription.
pub(crate) async fn forget(
    transaction: &mut Transaction,
    subscription: &str,
) -> Result<(), DatabaseError> {
    for statement in [&FORGET, &UNPARK_ALL] {
        transaction.query(statement).bind(subscription).execute().await?;
    }
    Ok(())
}

fn position(row: &Row) -> Result<Position, DatabaseError> {
    Ok(row.get::<i64>("position")?.cast_unsigned())
}

fn lease(row: &Row) -> Result<Option<LeaseStatus>, DatabaseError> {
    if let Some(owner) = row.get("elsewhere")? {
        let (token, expires_at) = (Uuid::nil(), DateTime::<Utc>::MAX_UTC);
        return Ok(Some(LeaseStatus {
            owner,
            token,
            expires_at,
            expired: false,
            handed_over: true,
        }));
    }
    let Some(owner) = row.get("owner")? else { return Ok(None) };
    Ok(Some(LeaseStatus {
        owner,
        token: row.get("token")?,
        expires_at: row.get("expires_at")?,
        expired: row.get("expired")?,
        handed_over: false,
    }))
}

fn status(row: &Row) -> Result<SubscriptionStatus, DatabaseError> {
    let last_error: Option<String> = row.get("last_error")?;
    let last_error = match last_error {
        Some(error) => Some((error, row.get("failed_at")?)),
        None => None,
    };
    let kind = row.get::<&str>("kind")?;
    Ok(SubscriptionStatus {
        subscription: row.get("subscription")?,
        kind: kind.parse().map_err(|error: kernel::subscription::UnknownKind| {
            DatabaseError::Damaged { column: "kind".to_owned(), reason: error.to_string() }
        })?,
        checkpoint: checkpoint(row)?,
        updated_at: row.get("updated_at")?,
        families: row.json("families")?,
        lease: lease(row)?,
        last_error,
        parked: row.get::<i64>("parked")?.cast_unsigned(),
        reset_at: row.get("reset_at")?,
        stopped: row.get("stopped")?,
        waiting_since: row.get("waiting_since")?,
    })
}

pub(crate) fn parked(row: &Row) -> Result<ParkedEvent, DatabaseError> {
    Ok(ParkedEvent {
        position: position(row)?,
        event_id: row.get("event_id")?,
        key: row.get("key")?,
        error: row.get("error")?,
        attempts: u32::try_from(row.get::<i64>("attempts")?).unwrap_or(u32::MAX),
        parked_at: row.get("parked_at")?,
        replay_requested: row.get("replay_requested")?,
    })
}

pub(crate) async fn insert_parked(
    transaction: &mut Transaction,
    subscription: &str,
    event: &ParkedEvent,
) -> Result<(), DatabaseError> {
    let insert = transaction.query(&PARK).bind(subscription).bind(event.position.cast_signed());
    let insert = insert.bind(event.event_id).bind(&event.key).bind(&event.error);
    let insert = insert.bind(i64::from(event.attempts)).bind(event.parked_at);
    insert.bind(event.replay_requested).execute().await?;
    Ok(())
}

impl Database {
    fn note(&self, subscription: &str, position: Position) {
        if let Some(remembered) = self.remembered() {
            remembered.note(subscription, position);
        }
    }

    /// Takes the lease from its holder, for `ttl`: for a rebuild that is about to replace the
    /// subscription's rows. Until then no other process moves its checkpoint.
    pub(crate) async fn seize(
        &self,
        subscription: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Lease, CheckpointError> {
        let token = new_id();
        let seize = self.write(&SEIZE).bind(subscription).bind(owner).bind(token);
        let seized = seize.bind(ttl.as_secs_f64()).fetch_all().await?;
        let row = seized.first().ok_or_else(|| unknown(subscription))?;
        let (subscription, owner) = (subscription.to_owned(), owner.to_owned());
        let (checkpoint, families) = (checkpoint(row)?, row.json("families")?);
        Ok(Lease { subscription, owner, token, ttl, checkpoint, families })
    }

    /// Makes sure that a transaction belongs to the lease's holder, and moves the checkpoint in it.
    /// Until it ends, no other process can take the lease.
    pub(crate) async fn fence(
        transaction: &mut Transaction,
        lease: &Lease,
        from: Position,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let fence = transaction.query(&FENCE).bind(&lease.subscription).bind(lease.token);
        let fence = fence.bind(from.cast_signed()).bind(to.position.cast_signed());
        let fence = fence.bind(to.event_id).bind(lease.ttl.as_secs_f64()).bind(to.log_id);
        if fence.execute().await? == 1 {
            return Ok(());
        }
        Err(Self::fenced_out(transaction, lease, from).await?)
    }

    /// Returns why a statement with a lease's token changed nothing.
    async fn fenced_out(
        transaction: &mut Transaction,
        lease: &Lease,
        expected: Position,
    ) -> Result<CheckpointError, DatabaseError> {
        let subscription = lease.subscription.clone();
        let row = transaction.query(&HOLDER).bind(&subscription).fetch_optional().await?;
        let Some(row) = row else {
            return Ok(CheckpointError::LeaseLost { subscription, holder: None });
        };
        if row.get::<Option<Uuid>>("token")? != Some(lease.token) {
            let holder = row.get("owner")?;
            return Ok(CheckpointError::LeaseLost { subscription, holder });
        }
        let found = position(&row)?;
        Ok(CheckpointError::Elsewhere { subscription, expected, found })
    }
}

impl SubscriptionStore for Database {
    type Transaction = Transaction;

    fn is_unavailable(error: &BoxError) -> bool {
        if let Some(error) = error.downcast_ref::<DatabaseError>() {
            return error.is_unavailable();
        }
        error.downcast_ref().is_some_and(crate::is_unavailable)
    }

    async fn register(&self, registration: &Registration) -> Result<(), CheckpointError> {
        let Registration { subscription, kind, families, log_id } = registration;
        let known = self.query(&REGISTERED).bind(subscription).fetch_optional().await?;
        if let Some(known) = known {
            let has_families = known.json::<BTreeSet<String>>("families")?.is_superset(families);
            let has_log = position(&known)? > 0 || known.get::<Uuid>("log_id")? == *log_id;
            if has_families && has_log {
                return Ok(());
            }
        }
        let mut transaction = self.begin().await?;
        let insert = transaction.query(&REGISTER).bind(subscription).bind(kind.as_str());
        insert.bind(*log_id).execute().await?;
        let row = transaction.query(&LOCK).bind(subscription).fetch_one().await?;
        let mut all: BTreeSet<String> = row.json("families")?;
        let before = all.len();
        all.extend(families.iter().cloned());
        if all.len() > before {
            let widen = transaction.query(&WIDEN).bind(subscription).bind_json(&all);
            widen.bind(new_id()).execute().await?;
        }
        transaction.query(&TAKE_LOG).bind(subscription).bind(*log_id).execute().await?;
        Ok(transaction.commit().await?)
    }

    async fn acquire(
        &self,
        subscription: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, CheckpointError> {
        // UUIDv7: unique even if the database lost the last one it stored.
        let token = new_id();
        let acquire = self.write(&ACQUIRE).bind(subscription).bind(owner).bind(token);
        let acquired = acquire.bind(ttl.as_secs_f64()).fetch_all().await?;
        let Some(row) = acquired.first() else { return Ok(None) };
        let checkpoint = checkpoint(row)?;
        self.note(subscription, checkpoint.position);
        Ok(Some(Lease {
            subscription: subscription.to_owned(),
            owner: owner.to_owned(),
            token,
            ttl,
            checkpoint,
            families: row.json("families")?,
        }))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), CheckpointError> {
        let renew = self.write(&RENEW).bind(&lease.subscription).bind(lease.token);
        if renew.bind(lease.ttl.as_secs_f64()).execute().await? == 1 {
            return Ok(());
        }
        let subscription = lease.subscription.clone();
        let holder = self.query(&HOLDER).bind(&subscription).fetch_optional().await?;
        let holder = holder.map(|row| row.get("owner")).transpose()?.flatten();
        Err(CheckpointError::LeaseLost { subscription, holder })
    }

    async fn tell_waiting(
        &self,
        lease: &Lease,
        waiting_since: Option<DateTime<Utc>>,
    ) -> Result<(), CheckpointError> {
        let tell = self.write(&TELL_WAITING).bind(&lease.subscription).bind(lease.token);
        tell.bind(waiting_since).execute().await?;
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), CheckpointError> {
        let release = self.write(&RELEASE).bind(&lease.subscription).bind(lease.token);
        release.execute().await?;
        Ok(())
    }

    async fn release_all(&self) -> Result<(), CheckpointError> {
        self.write(&RELEASE_ALL).execute().await?;
        Ok(())
    }

    async fn begin_fenced(
        &self,
        lease: &Lease,
        from: Position,
        to: Checkpoint,
    ) -> Result<Transaction, CheckpointError> {
        let mut transaction = self.begin_derived().await?;
        Self::fence(&mut transaction, lease, from, to).await?;
        transaction.moves = Some((lease.subscription.clone(), to.position));
        Ok(transaction)
    }

    async fn commit(&self, mut transaction: Transaction) -> Result<(), CheckpointError> {
        let moves = transaction.moves.take();
        transaction.commit().await?;
        if let Some((subscription, position)) = moves {
            self.note(&subscription, position);
        }
        Ok(())
    }

    fn entrust(&self, subscription: &str, position: watch::Sender<Position>) {
        if let Some(remembered) = self.remembered() {
            remembered.entrust(subscription, position);
        }
    }

    fn watch_tables(&self) -> watch::Receiver<u64> {
        self.remembered().map_or_else(|| watch::channel(0).1, Remembered::watch)
    }

    async fn status(
        &self,
        subscription: &str,
    ) -> Result<Option<SubscriptionStatus>, CheckpointError> {
        let row = self.query(&STATUS).bind(subscription).fetch_optional().await?;
        Ok(row.as_ref().map(status).transpose()?)
    }

    async fn statuses(&self) -> Result<Vec<SubscriptionStatus>, CheckpointError> {
        let rows = self.query(&STATUSES).fetch_all().await?;
        Ok(rows.iter().map(status).collect::<Result<_, _>>()?)
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let row = self.query(&CHECKPOINT).bind(subscription).fetch_optional().await?;
        let checkpoint = row.as_ref().map(checkpoint).transpose()?;
        if let Some(checkpoint) = &checkpoint {
            self.note(subscription, checkpoint.position);
        }
        Ok(checkpoint)
    }

    async fn record_error(&self, subscription: &str, error: &str) -> Result<(), CheckpointError> {
        self.write(&RECORD_ERROR).bind(subscription).bind(error).execute().await?;
        Ok(())
    }

    async fn stop(
        &self,
        subscription: &str,
        reset_at: DateTime<Utc>,
    ) -> Result<(), CheckpointError> {
        self.write(&STOP).bind(subscription).bind(reset_at).execute().await?;
        Ok(())
    }

    async fn restart(&self, subscription: &str, log_id: Uuid) -> Result<(), CheckpointError> {
        let mut transaction = Self::begin(self).await?;
        let beginning = Checkpoint::beginning(log_id);
        self.reset(&mut transaction, subscription, beginning, &[]).await?;
        Ok(transaction.commit().await?)
    }

    async fn reset(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        checkpoint: Checkpoint,
        parked: &[ParkedEvent],
    ) -> Result<(), CheckpointError> {
        let reset = transaction.query(&RESET).bind(subscription).bind(checkpoint.log_id);
        let reset = reset.bind(checkpoint.position.cast_signed()).bind(checkpoint.event_id);
        if reset.execute().await? == 0 {
            return Err(unknown(subscription));
        }
        transaction.query(&UNPARK_ALL).bind(subscription).execute().await?;
        for event in parked {
            insert_parked(transaction, subscription, event).await?;
        }
        Ok(())
    }

    async fn park(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        transaction.query(&DURABLE).fetch_one().await?;
        Ok(insert_parked(transaction, subscription, event).await?)
    }

    async fn park_again(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        transaction.query(&DURABLE).fetch_one().await?;
        let update = transaction.query(&PARK_AGAIN).bind(subscription).bind(&event.key);
        let update = update.bind(event.position.cast_signed()).bind(&event.error);
        update.bind(i64::from(event.attempts)).execute().await?;
        Ok(())
    }

    async fn unpark(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        position: Position,
    ) -> Result<(), CheckpointError> {
        let delete = transaction.query(&UNPARK).bind(subscription).bind(position.cast_signed());
        delete.execute().await?;
        Ok(())
    }

    async fn parked_keys(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        Ok(self.query(&PARKED_KEYS).bind(subscription).scalars().await?)
    }

    async fn parked_events(
        &self,
        subscription: &str,
        key: Option<&str>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, CheckpointError> {
        let statement = if key.is_some() { &PARKED_OF_KEY } else { &PARKED };
        let select = self.query(statement).bind(subscription).bind(after.cast_signed());
        let select = select.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let select = match key {
            Some(key) => select.bind(key),
            None => select,
        };
        let rows = select.fetch_all().await?;
        Ok(rows.iter().map(parked).collect::<Result<_, _>>()?)
    }

    async fn keys_to_replay(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        Ok(self.query(&KEYS_TO_REPLAY).bind(subscription).scalars().await?)
    }

    async fn request_replay(
        &self,
        subscription: &str,
        position: Position,
    ) -> Result<bool, CheckpointError> {
        let update = self.write(&REQUEST_REPLAY).bind(subscription).bind(position.cast_signed());
        Ok(update.execute().await? > 0)
    }

    async fn discard(
        &self,
        subscription: &str,
        position: Position,
    ) -> Result<bool, CheckpointError> {
        let delete = self.write(&UNPARK).bind(subscription).bind(position.cast_signed());
        Ok(delete.execute().await? > 0)
    }
}
