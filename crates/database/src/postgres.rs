//! A module's database in PostgreSQL: a schema of its own in the database of the URL.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::{PoolConnectionMetadata, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::migrations::{Attempts, complete};
use crate::place::checked_name;
use crate::remembered::{Remembered, went_back};
use crate::{DatabaseError, DatabaseOptions, Transactions};

/// How long a migration waits for a lock before it is retried.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may be unused before it is tested before its next use: a server that restarted
/// has closed it. A busy connection is not tested every time, which would cost a round trip.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// Maximum time to open a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The pools of one schema.
#[derive(Clone)]
pub(crate) struct PostgresPools {
    pub(crate) schema: String,
    pub(crate) writers: Transactions<Postgres>,
    /// For single statements: no transaction is ever begun on them.
    pub(crate) readers: PgPool,
    /// The remembered checkpoints of the tables, compared with every new connection.
    pub(crate) remembered: Arc<Remembered>,
}

/// Returns the options of connections to a schema: tables are looked up only there, and the server sees
/// the application's name.
pub fn postgres_options(
    url: &str,
    schema: &str,
    application_name: &str,
) -> Result<PgConnectOptions, DatabaseError> {
    // The parser's error contains no part of the URL.
    let options: PgConnectOptions = url.parse()?;
    Ok(in_schema(options, checked_name(schema)?).application_name(application_name))
}

fn in_schema(options: PgConnectOptions, schema: &str) -> PgConnectOptions {
    options.options([("search_path", format!("\"{schema}\""))])
}

/// Creates a schema if needed and runs some sets of migrations in it. Several processes may do so at
/// once.
pub async fn migrate_postgres(
    options: &PgConnectOptions,
    schema: &str,
    sets: &[&Migrator],
    module: &'static str,
) -> Result<(), DatabaseError> {
    let timeout = format!("{}ms", LOCK_TIMEOUT.as_millis());
    // A migration of a large table may take long; waiting for a lock may not.
    let options =
        options.clone().options([("statement_timeout", "0"), ("lock_timeout", timeout.as_str())]);
    let mut attempts = Attempts::new(module);
    while let Err(error) = try_migrating(&options, schema, sets).await {
        attempts.again_after(error).await?;
    }
    Ok(())
}

/// Opens a connection outside of the pools.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    tokio::time::timeout(CONNECT_WITHIN, options.connect()).await.unwrap_or_else(|_| {
        let silent = "the database server accepts connections but does not respond";
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silent)))
    })
}

async fn try_migrating(
    options: &PgConnectOptions,
    schema: &str,
    sets: &[&Migrator],
) -> Result<(), MigrateError> {
    // A connection of its own: dropping it after an error also releases sqlx's lock.
    let mut connection = connect(options).await?;
    // Queried first because CREATE SCHEMA requires the privilege even if IF NOT EXISTS finds the
    // schema.
    let exists = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)";
    if !sqlx::query_scalar(exists).bind(schema).fetch_one(&mut connection).await? {
        let create = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
    }
    for set in sets {
        // Like `run`, whose future is not `Send`.
        complete(set).run_direct(None, &mut connection, false).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Returns options for a pool on PostgreSQL: a connection that was unused for a while is tested before
/// it is used.
pub fn postgres_pool_options() -> PoolOptions<Postgres> {
    postgres_pool_options_if(|_| true)
}

/// The same, with a condition: a connection is used only if the pool's data of it meets the condition,
/// and is replaced otherwise.
pub fn postgres_pool_options_if(
    is_usable: impl Fn(&PoolConnectionMetadata) -> bool + Send + Sync + 'static,
) -> PoolOptions<Postgres> {
    // A slow acquire is reported by the request that fails, not for every one that waits.
    let options = PoolOptions::new().acquire_slow_threshold(Duration::MAX);
    options.test_before_acquire(false).before_acquire(move |connection: &mut PgConnection, seen| {
        let is_usable = is_usable(&seen);
        Box::pin(async move {
            if is_usable && seen.idle_for > TRIED_AFTER {
                connection.ping().await?;
            }
            Ok(is_usable)
        })
    })
}

impl PostgresPools {
    pub(crate) async fn open(
        url: &str,
        module: &'static str,
        migrations: [&Migrator; 2],
        options: &DatabaseOptions,
    ) -> Result<Self, DatabaseError> {
        let connect = postgres_options(url, module, &format!("bascule-{module}"))?;
        Self::open_schema(connect, module.to_owned(), module, migrations, options).await
    }

    /// Opens another schema of the same database with the same tables.
    pub(crate) async fn open_other(
        &self,
        schema: String,
        module: &'static str,
        migrations: [&Migrator; 2],
        options: &DatabaseOptions,
    ) -> Result<Self, DatabaseError> {
        let here = self.writers.connect_options();
        let connect = in_schema(here, checked_name(&schema)?);
        Self::open_schema(connect, schema, module, migrations, options).await
    }

    async fn open_schema(
        connect: PgConnectOptions,
        schema: String,
        module: &'static str,
        migrations: [&Migrator; 2],
        options: &DatabaseOptions,
    ) -> Result<Self, DatabaseError> {
        migrate_postgres(&connect, &schema, &migrations, module).await?;
        let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
        let limited = connect.options([
            // A plan made while a table was small scans the whole table, and would be cached. Lists are
            // planned for the given filters, too.
            ("plan_cache_mode", "force_custom_plan".to_owned()),
            ("idle_session_timeout", "0".to_owned()),
            ("statement_timeout", milliseconds(options.statement_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(options.idle_in_transaction_timeout),
            ),
        ]);
        let remembered = Arc::new(Remembered::default());
        let pool = |most| {
            let remembered = Arc::clone(&remembered);
            postgres_pool_options()
                .after_connect(move |connection, _| {
                    let remembered = Arc::clone(&remembered);
                    Box::pin(async move { remembered.compare(connection).await })
                })
                .max_connections(most)
                .min_connections(0)
                .acquire_timeout(options.acquire_timeout)
                .idle_timeout(options.idle_timeout)
                .max_lifetime(options.session_lifetime)
        };
        let writers = Transactions::on_postgres(pool(options.writers), limited.clone());
        let readers = pool(options.readers).connect_lazy_with(limited);
        Ok(Self { schema, writers, readers, remembered })
    }

    /// Begins a transaction, unless its connection sees the tables in an earlier state.
    pub(crate) async fn begin(
        &self,
        statement: &'static str,
    ) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
        let incarnation = self.remembered.incarnation();
        let begun = self.writers.begin(statement).await?;
        if self.remembered.incarnation() == incarnation { Ok(begun) } else { Err(went_back()) }
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }

    /// Returns a pool whose connections are closed with their transaction.
    pub(crate) fn snapshots(&self) -> Transactions<Postgres> {
        let options = postgres_pool_options().max_connections(1).acquire_timeout(CONNECT_WITHIN);
        Transactions::on_postgres(options, self.writers.connect_options())
    }

    /// Drops the schema with everything in it.
    pub(crate) async fn remove(self) -> Result<(), DatabaseError> {
        self.close().await;
        let options = self.writers.connect_options();
        let mut connection = options.options([("statement_timeout", "0")]).connect().await?;
        let drop = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.schema);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}
