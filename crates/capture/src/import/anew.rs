//! A mirror that is begun anew, for a mapping that is being drafted.

use database::{Database, DatabaseError, Statement};

/// Everything of a source but what stands for erased people.
pub(crate) const FORGET: [Statement; 9] = [
    // First, so that an import under way cannot write any more.
    Statement::Same("DELETE FROM capture_source WHERE source = $1"),
    Statement::Same("DELETE FROM capture_aggregate WHERE source = $1"),
    Statement::Same("DELETE FROM capture_file WHERE source = $1"),
    Statement::Same("DELETE FROM mirror_row WHERE source = $1"),
    Statement::Same("DELETE FROM mirror_link WHERE source = $1"),
    Statement::Same("DELETE FROM dirty WHERE source = $1"),
    Statement::Same("DELETE FROM outbox WHERE source = $1"),
    Statement::Same("DELETE FROM delivered WHERE source = $1"),
    Statement::Same("DELETE FROM quarantine WHERE source = $1"),
];

/// Forgets what the mirror has of a source. Who was erased stays erased.
pub(super) async fn forget(database: &Database, source: &str) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    for statement in &FORGET {
        transaction.query(statement).bind(source).execute().await?;
    }
    transaction.commit().await
}
