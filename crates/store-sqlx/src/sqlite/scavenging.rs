//! Removing events from a SQLite file.

use database::Transactions;
use kernel::event::{Revision, StreamName};
use sqlx::sqlite::Sqlite;

macro_rules! removable {
    ($before:literal, $columns:literal, $after:literal) => {
        concat!(
            $before,
            "SELECT ",
            $columns,
            " FROM stream s JOIN event e ON e.stream_id = s.id \
             WHERE s.name = $1 AND e.revision < min($2, s.revision) ORDER BY e.revision LIMIT $3",
            $after
        )
    };
}

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const REMEMBER: &str =
        removable!("INSERT INTO scavenged (position, id) ", "e.position, e.id", "");
    pub(super) const REMOVE: &str =
        removable!("DELETE FROM event WHERE position IN (", "e.position", ")");
}

/// Removes up to `limit` events of a stream below a revision, but never its last one. Returns the
/// number.
pub(super) async fn scavenge(
    writer: &Transactions<Sqlite>,
    stream: &StreamName,
    below: Revision,
    limit: usize,
) -> Result<u64, sqlx::Error> {
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut transaction = writer.begin("BEGIN IMMEDIATE").await?;
    let mut removed = 0;
    for statement in [REMEMBER, REMOVE] {
        let query = sqlx::query(statement).bind(stream.as_str()).bind(below).bind(limit);
        removed = query.execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(removed)
}
