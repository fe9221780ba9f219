//! The statements on the module's tables in SQLite.

use http::{Owner, Paging};
use payments_contract::PaymentId;
use sqlx::{SqliteConnection, SqlitePool};
use uuid::Uuid;

use crate::projections::{Details, Status};

macro_rules! columns {
    () => {
        "SELECT id, position, revision, status, invoice_id, owner, legacy_source, legacy_id, \
         document FROM payment "
    };
}

const BY_ID: &str = concat!(columns!(), "WHERE id = $1");
const LIST: &str = concat!(
    columns!(),
    "WHERE ($1 IS NULL OR status = $1) AND ($2 IS NULL OR invoice_id = $2) \
     AND ($3 IS NULL OR owner = $3) AND ($4 IS NULL OR legacy_id = $4) \
     AND ($5 IS NULL OR position < $5) ORDER BY position DESC LIMIT $6"
);
const INSERT: &str = "INSERT INTO payment \
     (id, position, revision, status, invoice_id, owner, legacy_source, legacy_id, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "UPDATE payment SET revision = $2, status = $3, invoice_id = $4, \
     document = $5 WHERE id = $1";

/// Every statement on the module's own tables, so that a test can prepare them all.
pub const STATEMENTS: &[&str] = &[BY_ID, LIST, INSERT, UPDATE];

/// A payment as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRow {
    /// Its id.
    pub id: PaymentId,
    /// Where its first event stands in the log.
    pub position: u64,
    /// The last revision of its stream.
    pub revision: u64,
    /// Where it stands.
    pub status: Status,
    /// The invoice it is for, where known.
    pub invoice_id: Option<Uuid>,
    /// Who decides over it.
    pub owner: Owner,
    /// The legacy system it comes from.
    pub legacy_source: Option<String>,
    /// Its key there.
    pub legacy_id: Option<String>,
    /// Everything else about it.
    pub details: Details,
}

/// Which payments are wanted; `None` stands for any.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// Where they stand.
    pub status: Option<Status>,
    /// The invoice they are for.
    pub invoice_id: Option<Uuid>,
    /// Who decides over them.
    pub owner: Option<Owner>,
    /// Their key in the legacy system.
    pub legacy_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Stored {
    id: Uuid,
    position: i64,
    revision: i64,
    status: String,
    invoice_id: Option<Uuid>,
    owner: Owner,
    legacy_source: Option<String>,
    legacy_id: Option<String>,
    document: String,
}

impl TryFrom<Stored> for PaymentRow {
    type Error = sqlx::Error;

    fn try_from(stored: Stored) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: stored.id,
            position: stored.position.cast_unsigned(),
            revision: stored.revision.cast_unsigned(),
            status: from_name("status", stored.status)?,
            invoice_id: stored.invoice_id,
            owner: stored.owner,
            legacy_source: stored.legacy_source,
            legacy_id: stored.legacy_id,
            details: serde_json::from_str(&stored.document)
                .map_err(|source| undecodable("document", source))?,
        })
    }
}

fn from_name<T: serde::de::DeserializeOwned>(column: &str, name: String) -> Result<T, sqlx::Error> {
    serde_json::from_value(name.into()).map_err(|source| undecodable(column, source))
}

fn undecodable(column: &str, source: serde_json::Error) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

fn encode(details: &Details) -> Result<String, sqlx::Error> {
    serde_json::to_string(details).map_err(|source| sqlx::Error::Encode(source.into()))
}

/// A payment by its id.
pub async fn by_id(pool: &SqlitePool, id: PaymentId) -> Result<Option<PaymentRow>, sqlx::Error> {
    find(&mut *pool.acquire().await?, id).await
}

/// The wanted payments, newest first, one page and a row more.
pub async fn list(
    pool: &SqlitePool,
    filter: &PaymentFilter,
    paging: Paging,
) -> Result<Vec<PaymentRow>, sqlx::Error> {
    let rows: Vec<Stored> = sqlx::query_as(LIST)
        .bind(filter.status.map(Status::name))
        .bind(filter.invoice_id)
        .bind(filter.owner)
        .bind(&filter.legacy_id)
        .bind(paging.before())
        .bind(paging.rows())
        .fetch_all(pool)
        .await?;
    rows.into_iter().map(PaymentRow::try_from).collect()
}

/// A payment by its id, as the projection sees it within its transaction.
pub(crate) async fn find(
    connection: &mut SqliteConnection,
    id: PaymentId,
) -> Result<Option<PaymentRow>, sqlx::Error> {
    let stored: Option<Stored> = sqlx::query_as(BY_ID).bind(id).fetch_optional(connection).await?;
    stored.map(PaymentRow::try_from).transpose()
}

pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    row: &PaymentRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(row.id)
        .bind(row.position.cast_signed())
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind(row.invoice_id)
        .bind(row.owner)
        .bind(&row.legacy_source)
        .bind(&row.legacy_id)
        .bind(encode(&row.details)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(
    connection: &mut SqliteConnection,
    row: &PaymentRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(UPDATE)
        .bind(row.id)
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind(row.invoice_id)
        .bind(encode(&row.details)?)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use database::Database;
    use sqlx::{Executor as _, SqlSafeStr as _};

    use super::*;

    #[tokio::test]
    async fn every_statement_can_be_prepared() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("payments.db").display());
        let database = Database::open(&url, crate::NAME, &crate::MIGRATIONS).await.unwrap();
        let mut transaction = database.begin().await.unwrap();
        for &statement in STATEMENTS {
            (*transaction).prepare(statement.into_sql_str()).await.unwrap();
        }
    }
}
