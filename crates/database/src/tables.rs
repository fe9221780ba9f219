//! Whole tables: their rows as text to compare two places, and statements over all columns.

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::AssertSqlSafe;

use crate::place::checked_name;
use crate::row::Row;
use crate::transaction::Open;
use crate::{DatabaseError, Engine, Statement, Transaction};

crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    /// The writable columns: generated columns derive from them and take no value. (`table_info` omits
    /// generated columns.)
    const COLUMNS: Statement = Statement::PerEngine {
        sqlite: "SELECT name FROM pragma_table_info($1) ORDER BY cid",
        postgres: "SELECT CAST(attname AS text) FROM pg_attribute \
                   WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped \
                   AND attgenerated = '' ORDER BY attnum",
    };
    const KEY: Statement = Statement::PerEngine {
        sqlite: "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk",
        postgres: "SELECT CAST(attname AS text) FROM pg_index JOIN pg_attribute \
                   ON attrelid = indrelid AND attnum = ANY (indkey) \
                   WHERE indrelid = to_regclass($1) AND indisprimary \
                   ORDER BY array_position(CAST(indkey AS smallint[]), attnum)",
    };
}

/// A row as text, equal for equal values. May be personal: it does not implement `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct TableRow {
    /// The values of its primary key.
    pub key: String,
    /// The values of all columns.
    pub values: String,
}

/// The engine's description of a table.
pub(crate) struct Table {
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

impl Table {
    pub(crate) async fn of(
        transaction: &mut Transaction,
        name: &str,
    ) -> Result<Self, DatabaseError> {
        let name = checked_name(name)?.to_owned();
        let columns = transaction.query(&COLUMNS).bind(&name).scalars().await?;
        let key: Vec<String> = transaction.query(&KEY).bind(&name).scalars().await?;
        if key.is_empty() {
            return Err(DatabaseError::UnknownTable { table: name });
        }
        Ok(Self { name, columns, key })
    }

    /// Returns its columns, for a statement.
    pub(crate) fn columns(&self) -> String {
        quoted(&self.columns).join(", ")
    }

    fn select(&self, engine: Engine) -> String {
        let (columns, key) = (quoted(&self.columns), quoted(&self.key));
        let text = |columns: &[String]| match engine {
            Engine::Sqlite => {
                let values: Vec<_> = columns.iter().map(|one| format!("quote({one})")).collect();
                values.join(" || ',' || ")
            }
            Engine::Postgres => format!("CAST(ROW({}) AS text)", columns.join(", ")),
        };
        let (values, order) = (text(&columns), key.join(", "));
        format!("SELECT {}, {values} FROM \"{}\" ORDER BY {order}", text(&key), self.name)
    }
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("\"{name}\"")).collect()
}

impl Transaction {
    /// Returns the rows of a table in the order of its primary key, as text.
    pub async fn rows_of(
        &mut self,
        table: &str,
    ) -> Result<BoxStream<'_, Result<TableRow, DatabaseError>>, DatabaseError> {
        let table = Table::of(self, table).await?;
        let rows: BoxStream<'_, Result<Row, sqlx::Error>> = match &mut self.open {
            Open::Sqlite(open) => {
                let select = AssertSqlSafe(table.select(Engine::Sqlite));
                let rows = sqlx::query(select).persistent(false).fetch(&mut **open);
                rows.map_ok(Row::from).boxed()
            }
            Open::Postgres(open) => {
                let select = AssertSqlSafe(table.select(Engine::Postgres));
                let rows = sqlx::query(select).persistent(false).fetch(&mut **open);
                rows.map_ok(Row::from).boxed()
            }
        };
        let read = |row: Row| Ok(TableRow { key: row.at(0)?, values: row.at(1)? });
        Ok(rows.map(move |row| read(row?)).boxed())
    }

    /// Drops a table with its rows; returns `false` if it does not exist.
    pub async fn drop_table(&mut self, table: &str) -> Result<bool, DatabaseError> {
        let table = checked_name(table)?;
        let columns: Vec<String> = self.query(&COLUMNS).bind(table).scalars().await?;
        if columns.is_empty() {
            return Ok(false);
        }
        self.execute(format!("DROP TABLE \"{table}\"")).await?;
        Ok(true)
    }

    /// Executes a query whose text names places chosen by the caller. Returns the number that it finds
    /// for the value of its parameter.
    pub(crate) async fn scalar_of(
        &mut self,
        statement: String,
        text: &str,
    ) -> Result<Option<i64>, DatabaseError> {
        let query = AssertSqlSafe(statement);
        Ok(match &mut self.open {
            Open::Sqlite(open) => {
                let query = sqlx::query_scalar(query).persistent(false).bind(text);
                query.fetch_optional(&mut **open).await?
            }
            Open::Postgres(open) => {
                let query = sqlx::query_scalar(query).persistent(false).bind(text);
                query.fetch_optional(&mut **open).await?
            }
        })
    }

    /// Executes a statement whose text names tables chosen by the caller. Returns the number of changed
    /// rows.
    pub(crate) async fn execute(&mut self, text: String) -> Result<u64, DatabaseError> {
        let query = AssertSqlSafe(text);
        Ok(match &mut self.open {
            Open::Sqlite(open) => {
                let query = sqlx::query(query).persistent(false);
                query.execute(&mut **open).await?.rows_affected()
            }
            Open::Postgres(open) => {
                let query = sqlx::query(query).persistent(false);
                query.execute(&mut **open).await?.rows_affected()
            }
        })
    }
}
