//! Migrations: how a module's tables come to be, per engine.

use std::collections::BTreeSet;
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
    /// The names of the tables that the migrations leave behind, as their text says; the same on both
    /// engines. None need have been run.
    pub fn tables(&self) -> Vec<String> {
        tables_after(self.sqlite.iter().map(|migration| migration.sql.as_str()))
    }

    /// For what has no tables of its own.
    pub const NONE: Self = Self { sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT };
}

/// The tables that there are after these statements.
fn tables_after<'s>(migrations: impl Iterator<Item = &'s str>) -> Vec<String> {
    let mut tables = BTreeSet::new();
    for migration in migrations {
        let lines = migration.lines().map(|line| line.split("--").next().unwrap_or_default());
        let statements = lines.collect::<Vec<_>>().join(" ").replace('(', " ( ");
        for statement in statements.split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            match *words {
                ["CREATE", "TABLE", "IF", "NOT", "EXISTS", name, ..]
                | ["CREATE", "TABLE", name, ..] => {
                    tables.insert(name.to_owned());
                }
                ["DROP", "TABLE", "IF", "EXISTS", name] | ["DROP", "TABLE", name] => {
                    tables.remove(name);
                }
                ["ALTER", "TABLE", name, "RENAME", "TO", other] => {
                    tables.remove(name);
                    tables.insert(other.to_owned());
                }
                _ => {}
            }
        }
    }
    tables.into_iter().collect()
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

#[cfg(test)]
mod tests {
    use super::tables_after;

    #[test]
    fn the_tables_are_those_that_the_migrations_leave_behind() {
        let migrations = [
            "-- What is sold; see the law.\nCREATE TABLE sale (id INTEGER, -- ours; dense\n at TEXT);\n\
             CREATE INDEX sale_at ON sale (at);\nCREATE TABLE IF NOT EXISTS draft(id INTEGER);\n\
             CREATE TABLE line (id INTEGER) STRICT;",
            "DROP TABLE draft;\nALTER TABLE line RENAME TO sale_line;\nALTER TABLE sale ADD COLUMN b;",
        ];
        assert_eq!(tables_after(migrations.into_iter()), ["sale", "sale_line"]);
    }
}
