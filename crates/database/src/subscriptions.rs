//! Checkpoints and parked events in a module's own database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::checkpoint::{Checkpoint, CheckpointError, ParkedEvent, SubscriptionStore};
use kernel::event::Position;
use kernel::seams::{Clock as _, SystemClock};
use kernel::store::BoxError;
use uuid::Uuid;

use crate::{Database, DatabaseError, Transaction};

const CHECKPOINT: &str =
    "SELECT log_id, position, event_id FROM checkpoint WHERE subscription = $1";
const FIRST: &str = "INSERT INTO checkpoint (subscription, log_id, position, event_id, updated_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subscription) DO NOTHING";
const ADVANCE: &str = "UPDATE checkpoint SET position = $3, event_id = $4, updated_at = $5 \
     WHERE subscription = $1 AND log_id = $2 AND position = $6";
const PARK: &str = "INSERT INTO parked_event \
     (subscription, position, event_id, key, error, attempts, parked_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subscription, position) DO NOTHING";
const PARKED_KEYS: &str = "SELECT DISTINCT key FROM parked_event WHERE subscription = $1";

impl From<DatabaseError> for CheckpointError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

fn unavailable(error: sqlx::Error) -> CheckpointError {
    CheckpointError::Unavailable(Box::new(error))
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

#[async_trait]
impl SubscriptionStore for Database {
    type Transaction = Transaction;

    fn is_unavailable(error: &BoxError) -> bool {
        if let Some(DatabaseError::Sql(error)) = error.downcast_ref() {
            return crate::is_unavailable(error);
        }
        if let Some(CheckpointError::Unavailable(_)) = error.downcast_ref() {
            return true;
        }
        error.downcast_ref().is_some_and(crate::is_unavailable)
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let row: Option<(Uuid, i64, Option<Uuid>)> = sqlx::query_as(CHECKPOINT)
            .bind(subscription)
            .fetch_optional(self.readers())
            .await
            .map_err(unavailable)?;
        Ok(row.map(|(log_id, position, event_id)| Checkpoint {
            log_id,
            position: position.cast_unsigned(),
            event_id,
        }))
    }

    async fn begin(&self) -> Result<Transaction, CheckpointError> {
        Ok(Self::begin(self).await?)
    }

    async fn advance(
        &self,
        mut transaction: Transaction,
        subscription: &str,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let statement = sqlx::query(if from.is_some() { ADVANCE } else { FIRST })
            .bind(subscription)
            .bind(to.log_id)
            .bind(to.position.cast_signed())
            .bind(to.event_id)
            .bind(now());
        let statement = match from {
            Some(from) => statement.bind(from.cast_signed()),
            None => statement,
        };
        let moved = statement.execute(&mut *transaction).await.map_err(unavailable)?;
        if moved.rows_affected() != 1 {
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
        sqlx::query(PARK)
            .bind(subscription)
            .bind(event.position.cast_signed())
            .bind(event.event_id)
            .bind(&event.key)
            .bind(&event.error)
            .bind(event.attempts)
            .bind(now())
            .execute(&mut **transaction)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn parked_keys(&self, subscription: &str) -> Result<Vec<String>, CheckpointError> {
        sqlx::query_scalar(PARKED_KEYS)
            .bind(subscription)
            .fetch_all(self.readers())
            .await
            .map_err(unavailable)
    }
}
