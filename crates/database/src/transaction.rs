//! Transactions on either engine.

use kernel::event::Position;
use sqlx::postgres::Postgres;
use sqlx::sqlite::Sqlite;

use crate::DatabaseError;
use crate::statement::{Connections, Executor, Query, Statement};

/// An open transaction; rolled back if dropped without [`Self::commit`].
#[derive(Debug)]
pub struct Transaction {
    pub(crate) open: Open,
    /// Whether a statement of it has failed. PostgreSQL would then answer COMMIT with ROLLBACK, without
    /// an error.
    has_failed: bool,
    /// The subscription whose checkpoint it moves, and the new position.
    pub(crate) moves: Option<(String, Position)>,
}

#[derive(Debug)]
pub(crate) enum Open {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl From<sqlx::Transaction<'static, Sqlite>> for Transaction {
    fn from(open: sqlx::Transaction<'static, Sqlite>) -> Self {
        Self { open: Open::Sqlite(open), has_failed: false, moves: None }
    }
}

impl From<sqlx::Transaction<'static, Postgres>> for Transaction {
    fn from(open: sqlx::Transaction<'static, Postgres>) -> Self {
        Self { open: Open::Postgres(open), has_failed: false, moves: None }
    }
}

impl Transaction {
    /// Begins a statement within the transaction.
    pub fn query(&mut self, statement: &Statement) -> Query<'_> {
        let has_failed = &mut self.has_failed;
        match &mut self.open {
            Open::Sqlite(open) => {
                Query::on_sqlite(Connections::Transaction(&mut **open, has_failed), statement)
            }
            Open::Postgres(open) => {
                Query::on_postgres(Connections::Transaction(&mut **open, has_failed), statement)
            }
        }
    }

    /// Commits. Fails, and changes nothing, if a statement of the transaction failed.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        if self.has_failed {
            return Err(DatabaseError::Aborted);
        }
        match self.open {
            Open::Sqlite(open) => open.commit().await?,
            Open::Postgres(open) => open.commit().await?,
        }
        Ok(())
    }

    /// Rolls back, and waits until that is done.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        match self.open {
            Open::Sqlite(open) => open.rollback().await?,
            Open::Postgres(open) => open.rollback().await?,
        }
        Ok(())
    }
}

impl<'c> Executor<'c> for &'c mut Transaction {
    fn query(self, statement: &Statement) -> Query<'c> {
        Transaction::query(self, statement)
    }
}
