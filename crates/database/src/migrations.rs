//! Migrations: the definitions of a module's tables, per engine.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use crate::DatabaseError;

/// A module's tables on both engines, the same migrations in the same order.
#[derive(Debug)]
pub struct Migrations {
    /// `sqlx::migrate!` of `migrations/sqlite/<module>`.
    pub sqlite: Migrator,
    /// `sqlx::migrate!` of `migrations/postgres/<module>`.
    pub postgres: Migrator,
}

impl Migrations {
    /// For databases without tables of their own.
    pub const NONE: Self = Self { sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT };
}

/// Tables that every module's database has: checkpoints, parked events, idempotency keys. On
/// PostgreSQL also a function `json_each` as SQLite has one.
pub(crate) static BOOKKEEPING: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/database"),
    postgres: sqlx::migrate!("../../migrations/postgres/database"),
};

/// Returns a set of migrations in the form in which it runs: several sets share one table of applied
/// migrations.
pub(crate) fn complete(set: &Migrator) -> Migrator {
    Migrator { migrations: set.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT }
}

/// Retries of a migration: two processes that create the same tables at once disturb each other, and
/// the slower one finds them created.
pub(crate) struct Attempts {
    module: &'static str,
    made: u32,
}

impl Attempts {
    const MOST: u32 = 5;

    pub(crate) fn new(module: &'static str) -> Self {
        Self { module, made: 0 }
    }

    /// Waits before the next attempt, or fails if this was the last.
    pub(crate) async fn again_after(&mut self, source: MigrateError) -> Result<(), DatabaseError> {
        let module = self.module;
        self.made += 1;
        if self.made == Self::MOST {
            return Err(DatabaseError::Migration { module, source });
        }
        tracing::debug!(
            module,
            error = &source as &dyn std::error::Error,
            "a migration failed; retrying"
        );
        tokio::time::sleep(Duration::from_millis(100) * self.made).await;
        Ok(())
    }
}
