//! Statements: static SQL, and the values bound to it once for both engines.

use serde::Serialize;
use sqlx::postgres::Postgres;
use sqlx::query::Query as SqlxQuery;
use sqlx::sqlite::Sqlite;
use sqlx::{Arguments as _, Encode, IntoArguments, Pool, Type};

use crate::remembered::{Remembered, went_back};
use crate::row::{FromSql, Row};
use crate::{DatabaseError, Engine};

/// One SQL statement. Parameters are `$1`, `$2`, … on both engines. Each gets its type from where
/// it first stands, so that the text can be prepared without values: `(status = $1 OR $1 IS NULL)`,
/// in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A text valid on both engines.
    Same(&'static str),
    /// One text per engine, with the same parameters and columns.
    PerEngine {
        /// For SQLite.
        sqlite: &'static str,
        /// For PostgreSQL.
        postgres: &'static str,
    },
}

impl Statement {
    /// Returns the text for an engine.
    pub const fn text(&self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::Same(text), _) => text,
            (Self::PerEngine { sqlite, .. }, Engine::Sqlite) => sqlite,
            (Self::PerEngine { postgres, .. }, Engine::Postgres) => postgres,
        }
    }
}

/// Defines the constants of a file's statements, and the list of all of them for the test that prepares
/// every statement: no statement of the file can be missing from the list.
///
/// ```
/// use database::{Statement, statements};
///
/// statements! {
///     /// Every statement of this file.
///     pub const STATEMENTS: [Statement];
///
///     const OPEN: Statement =
///         Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");
/// /// The server's clock decides, if there is a server.
///     const NOW: Statement = Statement::PerEngine {
///         sqlite: "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
///         postgres: "SELECT clock_timestamp()",
///     };
/// }
///
/// assert_eq!(STATEMENTS, [OPEN, NOW]);
/// ```
///
/// The constants are written as usual, with their docs and their visibility; a value may come from
/// another macro. Constants of another type that contains statements are listed in the same way. A test
/// of the whole system finds statements outside of this macro, and lists that no test uses.
#[macro_export]
macro_rules! statements {
    (
        $(#[$about_list:meta])*
        $list_visibility:vis const $list:ident: [$of:ty];
        $(
            $(#[$about:meta])*
            $visibility:vis const $name:ident: $type:ty = $value:expr;
        )+
    ) => {
        $(
            $(#[$about])*
            $visibility const $name: $type = $value;
        )+
        $(#[$about_list])*
        $list_visibility const $list: &[$of] = &[$($name),+];
    };
}

/// A value that both engines accept as a parameter: text, bytes, `bool`, `i16`, `i32`, `i64`, `f64`,
/// [`uuid::Uuid`], [`chrono::DateTime`] (to the microsecond), and options of and references to these.
pub trait ToSql<'q>:
    Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres>
{
}
impl<'q, T> ToSql<'q> for T where
    T: Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres>
{
}

/// A target that executes statements: a [`&Database`](crate::Database), whose connections read, or a
/// [`&mut Transaction`](crate::Transaction). For functions that work on both.
pub trait Executor<'c>: Send {
    /// Begins a statement.
    fn query(self, statement: &Statement) -> Query<'c>;
}

/// A statement with its bound values and its target. Prepared once per connection.
#[must_use = "a statement does nothing until it is executed or fetched"]
pub struct Query<'c> {
    bound: Bound<'c>,
    /// The error of the first value that could not be encoded.
    error: Option<sqlx::Error>,
}

enum Bound<'c> {
    Sqlite(BoundOn<'c, Sqlite>),
    Postgres(BoundOn<'c, Postgres>),
}

impl<'c> Query<'c> {
    pub(crate) fn on_sqlite(on: Connections<'c, Sqlite>, statement: &Statement) -> Self {
        let text = statement.text(Engine::Sqlite);
        let bound = BoundOn { on, text, arguments: Default::default() };
        Self { bound: Bound::Sqlite(bound), error: None }
    }

    pub(crate) fn on_postgres(on: Connections<'c, Postgres>, statement: &Statement) -> Self {
        let text = statement.text(Engine::Postgres);
        let bound = BoundOn { on, text, arguments: Default::default() };
        Self { bound: Bound::Postgres(bound), error: None }
    }

    /// Binds a value to the next parameter.
    pub fn bind<'q, T: ToSql<'q>>(mut self, value: T) -> Self {
        let added = match &mut self.bound {
            Bound::Sqlite(bound) => bound.arguments.add(value),
            Bound::Postgres(bound) => bound.arguments.add(value),
        };
        if let Err(error) = added {
            self.error.get_or_insert(sqlx::Error::Encode(error));
        }
        self
    }

    /// Binds a value as JSON text to the next parameter: a document for a column, or the entries of a
    /// statement over many (`FROM json_each($1)`, where `atom` is an entry that is a text or a number,
    /// and `value ->> 0` the first element of an entry that is an array). `None` is `NULL`.
    pub fn bind_json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(text) if text == "null" => self.bind(None::<&str>),
            Ok(text) => self.bind(text),
            Err(error) => {
                self.error.get_or_insert(sqlx::Error::Encode(error.into()));
                self
            }
        }
    }

    /// Executes it; returns the number of changed rows.
    pub async fn execute(self) -> Result<u64, DatabaseError> {
        Ok(match self.complete()? {
            Bound::Sqlite(bound) => bound.execute().await?.rows_affected(),
            Bound::Postgres(bound) => bound.execute().await?.rows_affected(),
        })
    }

    /// Returns the first row, if any.
    pub async fn fetch_optional(self) -> Result<Option<Row>, DatabaseError> {
        Ok(match self.complete()? {
            Bound::Sqlite(bound) => bound.fetch_optional().await?.map(Row::from),
            Bound::Postgres(bound) => bound.fetch_optional().await?.map(Row::from),
        })
    }

    /// Returns the only row; it is an error if there is none.
    pub async fn fetch_one(self) -> Result<Row, DatabaseError> {
        self.fetch_optional().await?.ok_or(DatabaseError::Sql(sqlx::Error::RowNotFound))
    }

    /// Returns all rows.
    pub async fn fetch_all(self) -> Result<Vec<Row>, DatabaseError> {
        Ok(match self.complete()? {
            Bound::Sqlite(bound) => bound.fetch_all().await?.into_iter().map(Row::from).collect(),
            Bound::Postgres(bound) => bound.fetch_all().await?.into_iter().map(Row::from).collect(),
        })
    }

    /// Returns the first column of the first row, if any.
    pub async fn scalar_optional<T: for<'r> FromSql<'r>>(self) -> Result<Option<T>, DatabaseError> {
        self.fetch_optional().await?.map(|row| row.at(0)).transpose()
    }

    /// Returns the first column of the only row; it is an error if there is none.
    pub async fn scalar<T: for<'r> FromSql<'r>>(self) -> Result<T, DatabaseError> {
        self.fetch_one().await?.at(0)
    }

    /// Returns the first column of all rows.
    pub async fn scalars<T: for<'r> FromSql<'r>>(self) -> Result<Vec<T>, DatabaseError> {
        self.fetch_all().await?.iter().map(|row| row.at(0)).collect()
    }

    fn complete(self) -> Result<Bound<'c>, sqlx::Error> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.bound),
        }
    }
}

/// The target of a statement.
pub(crate) enum Connections<'c, DB: sqlx::Database> {
    /// A free connection of a pool; it must not see tables that were reset while it was acquired.
    Pool(&'c Pool<DB>, Option<&'c Remembered>),
    /// The connection of a transaction, and whether a statement of it has failed.
    Transaction(&'c mut DB::Connection, &'c mut bool),
}

struct BoundOn<'c, DB: sqlx::Database> {
    on: Connections<'c, DB>,
    text: &'static str,
    arguments: DB::Arguments,
}

/// Calls one of sqlx's methods. A transaction counts as failed while a statement runs, so that a
/// cancelled statement counts too.
macro_rules! run {
    ($bound:ident, $method:ident) => {{
        let query: SqlxQuery<'_, DB, DB::Arguments> =
            sqlx::query_with($bound.text, $bound.arguments);
        match $bound.on {
            Connections::Pool(pool, remembered) => {
                let incarnation = remembered.map(Remembered::incarnation);
                let mut connection = pool.acquire().await?;
                if remembered.map(Remembered::incarnation) != incarnation {
                    return Err(went_back());
                }
                query.$method(&mut *connection).await
            }
            Connections::Transaction(connection, has_failed) => {
                let had_failed = std::mem::replace(has_failed, true);
                let outcome = query.$method(connection).await;
                *has_failed = had_failed || outcome.is_err();
                outcome
            }
        }
    }};
}

impl<DB> BoundOn<'_, DB>
where
    DB: sqlx::Database,
    DB::Arguments: IntoArguments<DB>,
    for<'e> &'e mut DB::Connection: sqlx::Executor<'e, Database = DB>,
{
    async fn execute(self) -> Result<DB::QueryResult, sqlx::Error> {
        run!(self, execute)
    }

    async fn fetch_optional(self) -> Result<Option<DB::Row>, sqlx::Error> {
        run!(self, fetch_optional)
    }

    async fn fetch_all(self) -> Result<Vec<DB::Row>, sqlx::Error> {
        run!(self, fetch_all)
    }
}
