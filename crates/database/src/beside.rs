//! A second copy of a module's tables at another place: where a projection is rebuilt from the log, to
//! compare with the served rows or to replace them.

use std::ops::Deref;
use std::sync::Arc;

use kernel::event::Position;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::place::{beside, checked_name, files_beside};
use crate::sqlite::{SqlitePools, sqlite_options};
use crate::tables::Table;
use crate::{Database, DatabaseError, Pools, Statement, Transaction, Transactions};

crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    const SCHEMAS: Statement = Statement::PerEngine {
        // On SQLite the places are files in the same folder.
        sqlite: "SELECT name FROM pragma_database_list WHERE name = $1",
        postgres: "SELECT CAST(nspname AS text) FROM pg_namespace WHERE starts_with(nspname, $1)",
    };
}

/// The name of the other file within a transaction on the main one.
const ATTACHED: &str = "scratch";

/// A module's tables at another place, next to the served ones: in PostgreSQL the schema
/// `<module>_<suffix>`, on SQLite the file `<stem>.<suffix>.db`. Used like the served database.
#[derive(Debug)]
pub struct Scratch {
    database: Database,
    main: Database,
}

impl Deref for Scratch {
    type Target = Database;
    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Database {
    /// Opens the same tables at another place. Rows of an earlier run are still there: for an empty
    /// place, [`Scratch::remove`] it and open it again.
    pub async fn beside(&self, suffix: &str) -> Result<Scratch, DatabaseError> {
        checked_name(suffix)?;
        let source = Arc::clone(&self.source);
        let pools = match &self.pools {
            Pools::Sqlite(pools) => {
                let (path, sets) = (beside(&pools.path, suffix), source.on_sqlite());
                let opened = SqlitePools::open(path, source.module, sets, &source.options);
                Pools::Sqlite(opened.await?)
            }
            Pools::Postgres(pools) => {
                let (schema, sets) = (format!("{}_{suffix}", pools.schema), source.on_postgres());
                let opened = pools.open_other(schema, source.module, sets, &source.options);
                Pools::Postgres(opened.await?)
            }
        };
        Ok(Scratch { database: Self { pools, source }, main: self.clone() })
    }

    /// Returns the suffixes of the places next to this one that begin with a prefix, in order.
    pub async fn places_beside(&self, prefix: &str) -> Result<Vec<String>, DatabaseError> {
        checked_name(prefix)?;
        let mut suffixes = match &self.pools {
            Pools::Sqlite(pools) => files_beside(&pools.path)?,
            Pools::Postgres(pools) => {
                let schemas: Vec<String> = self
                    .query(&SCHEMAS)
                    .bind(format!("{}_{prefix}", pools.schema))
                    .scalars()
                    .await?;
                let own = pools.schema.len() + 1;
                schemas.iter().filter_map(|schema| schema.get(own..)).map(str::to_owned).collect()
            }
        };
        suffixes.retain(|suffix| suffix.starts_with(prefix));
        suffixes.sort_unstable();
        Ok(suffixes)
    }

    /// Returns the name of the schema of its tables in a statement.
    fn schema<'a>(&'a self, on_sqlite: &'a str) -> &'a str {
        match &self.pools {
            Pools::Sqlite(_) => on_sqlite,
            Pools::Postgres(pools) => &pools.schema,
        }
    }
}

impl Scratch {
    /// Opens a transaction on the served tables that can copy rows from here. It commits synchronously.
    pub async fn begin_replacing(&self) -> Result<Transaction, DatabaseError> {
        match &self.main.pools {
            Pools::Sqlite(pools) => self.begin_attached(pools).await,
            Pools::Postgres(pools) => {
                // Moving a whole table may take long and is not a sign of a hung process.
                const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0";
                Ok(pools.writers.begin(BEGIN).await?.into())
            }
        }
    }

    /// Returns a subscription's position here, in a transaction opened with [`Self::begin_replacing`].
    pub(crate) async fn position_in(
        &self,
        transaction: &mut Transaction,
        subscription: &str,
    ) -> Result<Option<Position>, DatabaseError> {
        let place = self.database.schema(ATTACHED);
        let select = format!("SELECT position FROM \"{place}\".checkpoint WHERE subscription = $1");
        let position = transaction.scalar_of(select, subscription).await?;
        Ok(position.map(i64::cast_unsigned))
    }

    /// Replaces the rows of a served table by those of this place, in a transaction opened with
    /// [`Self::begin_replacing`]. Returns the number of rows. Readers see the old ones until the
    /// commit.
    pub async fn replace_rows(
        &self,
        transaction: &mut Transaction,
        table: &str,
    ) -> Result<u64, DatabaseError> {
        let columns = Table::of(transaction, table).await?.columns();
        let (main, scratch) = (self.main.schema("main"), self.database.schema(ATTACHED));
        transaction.execute(format!("DELETE FROM \"{main}\".\"{table}\"")).await?;
        let insert = format!(
            "INSERT INTO \"{main}\".\"{table}\" ({columns}) \
             SELECT {columns} FROM \"{scratch}\".\"{table}\""
        );
        transaction.execute(insert).await
    }

    /// Removes the place with everything in it.
    pub async fn remove(self) -> Result<(), DatabaseError> {
        match self.database.pools {
            Pools::Sqlite(pools) => pools.remove().await,
            Pools::Postgres(pools) => pools.remove().await,
        }
    }

    /// Begins a transaction on a connection of its own, which is closed with it: a file can be attached
    /// only before a transaction begins, and must not stay attached to the writer's connection.
    async fn begin_attached(&self, main: &SqlitePools) -> Result<Transaction, DatabaseError> {
        let options = sqlite_options(&main.path, SqliteSynchronous::Normal)?;
        let apart = Transactions::on_sqlite(PoolOptions::new().max_connections(1), options);
        if let Pools::Sqlite(scratch) = &self.database.pools {
            let attach = format!("ATTACH $1 AS {ATTACHED}");
            sqlx::query(sqlx::AssertSqlSafe(attach))
                .bind(scratch.path.to_string_lossy())
                .execute(apart.statements())
                .await?;
        }
        Ok(apart.begin("BEGIN IMMEDIATE").await?.into())
    }
}
