//! A read model of one document per aggregate, with a few columns to find documents by: no SQL and no
//! migration to write. For a read model that is more than that, write a projection and its statements.
//!
//! ```
//! use database::documents::{DocumentModel, Documents};
//! use kernel::codec::Envelope;
//! use serde::{Deserialize, Serialize};
//! use uuid::Uuid;
//! # #[derive(Debug, Clone, Serialize, Deserialize)]
//! # pub struct LampLit { lamp_id: Uuid, room: String }
//! # event_contract::published! { "lamps.LampLit.v1": LampLit; }
//! # kernel::event_set! { pub enum LampEvent { Lit(LampLit) } }
//!
//! /// A lamp as the API shows it.
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! pub struct Lamp {
//!     id: Uuid,
//!     room: String,
//!     lit: u32,
//! }
//!
//! /// The lamps, found by their room.
//! #[derive(Debug, Clone, Copy)]
//! pub struct Lamps;
//!
//! impl DocumentModel for Lamps {
//!     type Event = LampEvent;
//!     type Document = Lamp;
//!
//!     const NAME: &'static str = "lamps.lamps";
//!     const VERSION: u32 = 1;
//!     const TABLES: &'static [&'static str] = &["lamp"];
//!     const FOUND_BY: &'static [&'static str] = &["room"];
//!
//!     fn id(event: &LampEvent) -> Uuid {
//!         let LampEvent::Lit(lit) = event;
//!         lit.lamp_id
//!     }
//!
//!     fn apply(lamp: Option<Lamp>, event: &Envelope<LampEvent>) -> Option<Lamp> {
//!         let LampEvent::Lit(lit) = &event.event;
//!         let lamp = lamp.unwrap_or(Lamp { id: lit.lamp_id, room: lit.room.clone(), lit: 0 });
//!         Some(Lamp { lit: lamp.lit + 1, ..lamp })
//!     }
//!
//!     fn found_by(lamp: &Lamp) -> Vec<Option<String>> {
//!         vec![Some(lamp.room.clone())]
//!     }
//! }
//!
//! /// In `Module::open`: `let lamps = on.projection(Documents::<Lamps>::new());`
//! # let _ = Documents::<Lamps>::new();
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use kernel::codec::{Envelope, EventSet};
use kernel::event::Revision;
use kernel::projection::Projection;
use kernel::store::BoxError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use uuid::Uuid;

use crate::{Database, DatabaseError, Engine, Executor, Migrations, Row, Statement, Transaction};

/// The rules that fold events into documents.
pub trait DocumentModel: Send + Sync + 'static {
    /// The events it reads.
    type Event: EventSet;
    /// One document. Personal data in it is stored unencrypted: an erasure must change the document.
    type Document: Serialize + DeserializeOwned + Send + Sync;

    /// `<module>.<read model>`.
    const NAME: &'static str;
    /// Must be raised when the same events are to produce other documents.
    const VERSION: u32;
    /// The name of the table: exactly one.
    const TABLES: &'static [&'static str];
    /// The names of the columns by which documents are found, such as `customer_id`; each has an index.
    const FOUND_BY: &'static [&'static str];

    /// Returns the id of the document that an event is about.
    fn id(event: &Self::Event) -> Uuid;

    /// Returns the document after an event; `None` removes it.
    fn apply(
        document: Option<Self::Document>,
        event: &Envelope<Self::Event>,
    ) -> Option<Self::Document>;

    /// Returns the values of the columns of [`Self::FOUND_BY`], in their order.
    fn found_by(document: &Self::Document) -> Vec<Option<String>>;
}

/// The projection of a document model, and the way to its documents. Cheap to clone.
#[derive(Debug)]
pub struct Documents<M> {
    statements: &'static Statements,
    _of: PhantomData<fn() -> M>,
}

impl<M> Clone for Documents<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Documents<M> {}

/// A table of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    name: &'static str,
    columns: &'static [&'static str],
}

/// The number of the first migration of a module: those below are of the bookkeeping.
const FIRST_MIGRATION: i64 = 100;

/// Returns the migrations that make tables of documents, for a module that has no other: it needs no
/// folder in `migrations/`. Further tables are added at the end of the list; a table in it never
/// changes.
pub fn migrations(tables: &[Table]) -> Migrations {
    let [sqlite, postgres] = [Engine::Sqlite, Engine::Postgres].map(|engine| {
        let migrations = (FIRST_MIGRATION..).zip(tables).map(|(number, table)| {
            let sql = AssertSqlSafe(table.definition(engine)).into_sql_str();
            let about = format!("documents {}", table.name).into();
            Migration::new(number, about, MigrationType::Simple, sql, false)
        });
        Migrator { migrations: migrations.collect::<Vec<_>>().into(), ..Migrator::DEFAULT }
    });
    Migrations { sqlite, postgres }
}

/// A document as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The position of the event that the document began with: lists are in this order.
    pub position: i64,
    /// The last revision of the aggregate's stream that the document shows.
    pub revision: Revision,
    /// The document.
    pub document: T,
}

/// The statements over one table.
#[derive(Debug)]
struct Statements {
    one: Statement,
    put: Statement,
    remove: Statement,
    list: Statement,
    list_by: Vec<(&'static str, Statement)>,
}

impl<M: DocumentModel> Default for Documents<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: DocumentModel> Documents<M> {
    /// The documents of the model.
    pub fn new() -> Self {
        Self { statements: Statements::over(table::<M>(), M::FOUND_BY), _of: PhantomData }
    }

    /// Returns the table, for [`migrations`].
    pub fn table() -> Table {
        Table { name: table::<M>(), columns: M::FOUND_BY }
    }

    /// Returns every statement, for a test that prepares them.
    pub fn statements(&self) -> Vec<Statement> {
        let Statements { one, put, remove, list, list_by } = self.statements;
        let list_by = list_by.iter().map(|(_, statement)| *statement);
        [*one, *put, *remove, *list].into_iter().chain(list_by).collect()
    }

    /// Returns the document of an aggregate.
    pub async fn find<'c>(
        &self,
        of: impl Executor<'c>,
        id: Uuid,
    ) -> Result<Option<Found<M::Document>>, DatabaseError> {
        let row = of.query(&self.statements.one).bind(id).fetch_optional().await?;
        row.map(|row| found(&row)).transpose()
    }

    /// Returns documents whose first event is before a position, the latest first.
    pub async fn list<'c>(
        &self,
        of: impl Executor<'c>,
        before: i64,
        rows: i64,
    ) -> Result<Vec<Found<M::Document>>, DatabaseError> {
        let query = of.query(&self.statements.list).bind(before).bind(rows);
        query.fetch_all().await?.iter().map(found).collect()
    }

    /// Returns those of them that have a value in a column of [`DocumentModel::FOUND_BY`].
    pub async fn list_by<'c>(
        &self,
        of: impl Executor<'c>,
        column: &str,
        value: &str,
        before: i64,
        rows: i64,
    ) -> Result<Vec<Found<M::Document>>, DatabaseError> {
        let mut known = self.statements.list_by.iter();
        let Some((_, statement)) = known.find(|(name, _)| *name == column) else {
            let table = format!("{}.{column}", table::<M>());
            return Err(DatabaseError::UnknownTable { table });
        };
        let query = of.query(statement).bind(value).bind(before).bind(rows);
        query.fetch_all().await?.iter().map(found).collect()
    }
}

impl<M: DocumentModel> Projection for Documents<M> {
    type Store = Database;
    type Event = M::Event;

    const NAME: &'static str = M::NAME;
    const VERSION: u32 = M::VERSION;
    const TABLES: &'static [&'static str] = M::TABLES;

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<M::Event>,
    ) -> Result<(), BoxError> {
        let id = M::id(&event.event);
        let before = self.find(&mut *transaction, id).await?;
        let began = before.as_ref().map(|found| found.position);
        let position = began.unwrap_or_else(|| event.recorded.position.cast_signed());
        let Some(document) = M::apply(before.map(|found| found.document), event) else {
            transaction.query(&self.statements.remove).bind(id).execute().await?;
            return Ok(());
        };
        let mut query = transaction.query(&self.statements.put).bind(id).bind(position);
        query = query.bind(event.recorded.revision.cast_signed());
        query = query.bind(serde_json::to_string(&document)?);
        for value in M::found_by(&document) {
            query = query.bind(value);
        }
        query.execute().await?;
        Ok(())
    }
}

fn table<M: DocumentModel>() -> &'static str {
    const { assert!(M::TABLES.len() == 1, "a document model has one table") };
    M::TABLES[0]
}

fn found<T: DeserializeOwned>(row: &Row) -> Result<Found<T>, DatabaseError> {
    let document: String = row.at(2)?;
    let document = serde_json::from_str(&document).map_err(|error| DatabaseError::Damaged {
        column: "document".to_owned(),
        reason: error.to_string(),
    })?;
    let revision: i64 = row.at(1)?;
    Ok(Found { position: row.at(0)?, revision: revision.cast_unsigned(), document })
}

/// The statements of every table in use: their texts must live as long as the program, and are built
/// once.
static KNOWN: Mutex<Option<HashMap<&'static str, &'static Statements>>> = Mutex::new(None);

impl Statements {
    fn over(table: &'static str, columns: &'static [&'static str]) -> &'static Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        known.entry(table).or_insert_with(|| Box::leak(Box::new(Self::new(table, columns))))
    }

    fn new(table: &str, columns: &'static [&'static str]) -> Self {
        let text = |text: String| Statement::Same(String::leak(text));
        let row = "position, revision, document";
        let page = |parameter: usize| {
            format!("position < ${parameter} ORDER BY position DESC LIMIT ${}", parameter + 1)
        };
        let (mut names, mut values, mut updates) = (String::new(), String::new(), String::new());
        for (index, column) in columns.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = write!(names, ", {column}");
            let _ = write!(values, ", ${}", index + 5);
            let _ = write!(updates, ", {column} = excluded.{column}");
        }
        let list_by = columns.iter().map(|column| {
            let list = format!("SELECT {row} FROM {table} WHERE {column} = $1 AND {}", page(2));
            (*column, text(list))
        });
        Self {
            one: text(format!("SELECT {row} FROM {table} WHERE id = $1")),
            put: text(format!(
                "INSERT INTO {table} (id, position, revision, document{names}) \
                 VALUES ($1, $2, $3, $4{values}) ON CONFLICT (id) DO UPDATE SET \
                 revision = excluded.revision, document = excluded.document{updates}"
            )),
            remove: text(format!("DELETE FROM {table} WHERE id = $1")),
            list: text(format!("SELECT {row} FROM {table} WHERE {}", page(1))),
            list_by: list_by.collect(),
        }
    }
}

impl Table {
    /// Returns the statements that create the table.
    fn definition(&self, engine: Engine) -> String {
        let Self { name, columns } = self;
        let (id, number, end) = match engine {
            Engine::Sqlite => ("BLOB", "INTEGER", " STRICT, WITHOUT ROWID"),
            Engine::Postgres => ("uuid", "bigint", ""),
        };
        let found_by: String =
            columns.iter().map(|column| format!("    {column} text,\n")).collect();
        let mut definition = format!(
            "CREATE TABLE {name} (\n    id {id} PRIMARY KEY,\n    position {number} NOT NULL UNIQUE,\n    \
             revision {number} NOT NULL,\n{found_by}    document text NOT NULL\n){end};\n"
        );
        for column in *columns {
            // Writing to a string does not fail.
            let _ = writeln!(
                definition,
                "CREATE INDEX {name}_{column} ON {name} ({column}, position);"
            );
        }
        definition
    }
}
