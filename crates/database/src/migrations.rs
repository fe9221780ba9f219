//! Migrations: how a module's tables come to be, per engine.

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
    /// For what has no tables of its own.
    pub const NONE: Self = Self { sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT };
}

/// Tables that every module's database has: checkpoints, parked events, idempotency keys. On
/// PostgreSQL also a function `json_each` as SQLite has one.
pub(crate) static BOOKKEEPING: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/database"),
    postgres: sqlx::migrate!("../../migrations/postgres/database"),
};

/// A set as it is run: it shares its table of what was applied with other sets.
pub(crate) fn complete(set: &Migrator) -> Migrator {
    Migrator { migrations: set.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT }
}

/// Two processes that make the same tables at once get into each other's way, and the slower one
/// finds the work done.
pub(crate) struct Attempts {
    module: &'static str,
    made: u32,
}

impl Attempts {
    const MOST: u32 = 5;

    pub(crate) fn new(module: &'static str) -> Self {
        Self { module, made: 0 }
    }

    /// Waits for the next try, or fails when that was the last.
    pub(crate) async fn again_after(&mut self, source: MigrateError) -> Result<(), DatabaseError> {
        let module = self.module;
        self.made += 1;
        if self.made == Self::MOST {
            return Err(DatabaseError::Migration { module, source });
        }
        tracing::debug!(module, error = &source as &dyn std::error::Error, "migrating again");
        tokio::time::sleep(Duration::from_millis(100) * self.made).await;
        Ok(())
    }
}
