//! Snapshots of aggregates, stored next to the events: the same statements on both engines.

use async_trait::async_trait;
use kernel::event::StreamName;
use kernel::snapshot::{Snapshot, SnapshotStore, SnapshotsUnavailable};
use sqlx::{Database, Encode, Executor, FromRow, IntoArguments, Pool, Type};
use uuid::Uuid;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(crate) const LOAD: &str = "SELECT version, log_id, revision, position, event_id, state \
         FROM snapshot WHERE stream = $1";
    pub(crate) const SAVE: &str = "INSERT INTO snapshot \
         (stream, version, log_id, revision, position, event_id, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (stream) DO UPDATE SET version = excluded.version, log_id = excluded.log_id, \
         revision = excluded.revision, position = excluded.position, event_id = excluded.event_id, \
         state = excluded.state \
         WHERE snapshot.log_id <> excluded.log_id OR snapshot.version <> excluded.version \
         OR snapshot.revision < excluded.revision";
    pub(crate) const FORGET: &str = "DELETE FROM snapshot WHERE stream = $1";
}

/// The snapshots in a table of the event store.
pub(crate) struct SqlSnapshots<DB: Database> {
    /// Their commits need not be durable.
    pub(crate) writers: Pool<DB>,
    pub(crate) readers: Pool<DB>,
}

type Row = (i64, Uuid, i64, i64, Uuid, Vec<u8>);

fn unavailable(error: sqlx::Error) -> SnapshotsUnavailable {
    SnapshotsUnavailable(error.into())
}

#[async_trait]
impl<DB> SnapshotStore for SqlSnapshots<DB>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c Pool<DB>: Executor<'c, Database = DB>,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> &'q [u8]: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'r> Row: FromRow<'r, DB::Row>,
{
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotsUnavailable> {
        let row: Option<Row> = sqlx::query_as(LOAD)
            .bind(stream.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        let Some((version, log_id, revision, position, event_id, state)) = row else {
            return Ok(None);
        };
        Ok(Some(Snapshot {
            stream: stream.clone(),
            version: u32::try_from(version).map_err(|error| SnapshotsUnavailable(error.into()))?,
            log_id,
            revision: revision.cast_unsigned(),
            position: position.cast_unsigned(),
            event_id,
            state,
        }))
    }

    async fn save(&self, snapshot: &Snapshot) -> Result<(), SnapshotsUnavailable> {
        sqlx::query(SAVE)
            .bind(snapshot.stream.as_str())
            .bind(i64::from(snapshot.version))
            .bind(snapshot.log_id)
            .bind(snapshot.revision.cast_signed())
            .bind(snapshot.position.cast_signed())
            .bind(snapshot.event_id)
            .bind(snapshot.state.as_slice())
            .execute(&self.writers)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable> {
        sqlx::query(FORGET)
            .bind(stream.as_str())
            .execute(&self.writers)
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}
