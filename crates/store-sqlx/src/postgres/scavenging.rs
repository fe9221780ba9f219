//! Removing events from PostgreSQL.

use kernel::event::{Revision, StreamName};
use sqlx::postgres::PgPool;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    /// Two processes that remove the same events at once wait for each other, and the second finds
    /// none.
    pub(super) const SCAVENGE: &str = "\
WITH removable AS (
    SELECT event.position
    FROM stream JOIN event ON event.stream_id = stream.id
    WHERE stream.name = $1 AND event.revision < least(
        $2, (SELECT max(last.revision) FROM event AS last WHERE last.stream_id = stream.id)
    )
    ORDER BY event.revision LIMIT $3
), removed AS (
    DELETE FROM event USING removable WHERE event.position = removable.position
    RETURNING event.position, event.id
)
INSERT INTO scavenged (position, id) SELECT position, id FROM removed";
}

/// Removes up to `limit` events of a stream below a revision, but never its last one. Returns the
/// number.
pub(super) async fn scavenge(
    pool: &PgPool,
    stream: &StreamName,
    below: Revision,
    limit: usize,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(SCAVENGE)
        .bind(stream.as_str())
        .bind(i64::try_from(below).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    Ok(query.execute(pool).await?.rows_affected())
}
