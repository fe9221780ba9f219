//! Checkpoints and parked events in a module's own database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::checkpoint::{Checkpoint, CheckpointError, ParkedEvent, SubscriptionStore};
use kernel::event::Position;
use kernel::seams::{Clock as _, SystemClock};
use kernel::store::BoxError;

use crate::{Database, DatabaseError, Statement, Transaction};

const CHECKPOINT: Statement =
    Statement::Same("SELECT log_id, position, event_id FROM checkpoint WHERE subscription = $1");
const FIRST: Statement = Statement::Same(
    "INSERT INTO checkpoint (subscription, log_id, position, event_id, updated_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subscription) DO NOTHING",
);
const ADVANCE: Statement = Statement::Same(
    "UPDATE checkpoint SET position = $3, event_id = $4, updated_at = $5 \
     WHERE subscription = $1 AND log_id = $2 AND position = $6",
);
const PARK: Statement = Statement::Same(
    "INSERT INTO parked_event \
     (subscription, position, event_id, key, error, attempts, parked_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subscription, position) DO NOTHING",
);
const PARKED_KEYS: Statement =
    Statement::Same("SELECT DISTINCT key FROM parked_event WHERE subscription = $1");

/// Every statement of this file, for a test that prepares them all.
pub const STATEMENTS: &[Statement] = &[CHECKPOINT, FIRST, ADVANCE, PARK, PARKED_KEYS];

impl From<DatabaseError> for CheckpointError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

#[async_trait]
impl SubscriptionStore for Database {
    type Transaction = Transaction;

    fn is_unavailable(error: &BoxError) -> bool {
        if let Some(error) = error.downcast_ref::<DatabaseError>() {
            return error.is_unavailable();
        }
        if let Some(CheckpointError::Unavailable(_)) = error.downcast_ref() {
            return true;
        }
        error.downcast_ref().is_some_and(crate::is_unavailable)
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(row) = self.query(&CHECKPOINT).bind(subscription).fetch_optional().await? else {
            return Ok(None);
        };
        Ok(Some(Checkpoint {
            log_id: row.get("log_id")?,
            position: row.get::<i64>("position")?.cast_unsigned(),
            event_id: row.get("event_id")?,
        }))
    }

    async fn begin(&self) -> Result<Transaction, CheckpointError> {
        Ok(self.begin_derived().await?)
    }

    async fn advance(
        &self,
        mut transaction: Transaction,
        subscription: &str,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let statement = transaction
            .query(if from.is_some() { &ADVANCE } else { &FIRST })
            .bind(subscription)
            .bind(to.log_id)
            .bind(to.position.cast_signed())
            .bind(to.event_id)
            .bind(now());
        let statement = match from {
            Some(from) => statement.bind(from.cast_signed()),
            None => statement,
        };
        if statement.execute().await? != 1 {
            return Err(CheckpointError::Moved { subscription: subscription.to_owned() });
        }
        Ok(transaction.commit().await?)
    }

    async fn park(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        transaction
            .query(&PARK)
            .bind(subscription)
            .bind(event.position.cast_signed())
            .bind(event.event_id)
            .bind(&event.key)
            .bind(&event.error)
            .bind(i64::from(event.attempts))
            .bind(now())
            .execute()
            .await?;
        Ok(())
    }

    async fn parked_keys(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        Ok(self.query(&PARKED_KEYS).bind(subscription).scalars().await?)
    }
}
