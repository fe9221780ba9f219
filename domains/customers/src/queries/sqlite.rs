//! The directory's rows, read from SQLite.

use chrono::{DateTime, Utc};
use customers_contract::{Address, CustomerId};
use http::{Legacy, Owner};
use sqlx::{FromRow, SqlitePool};
use uuid::Uuid;

use super::{CustomerView, Kind, Status};
use crate::lookup::EmailKey;

/// Every statement, for the test that prepares them all.
pub const STATEMENTS: &[&str] = &[FIND, LIST, LIST_BY_EMAIL, LIST_BY_LEGACY_ID];

/// The flag of an imported customer whose e-mail address another open customer has too. It changes
/// with the others, so it is found when asked for.
const EMAIL_SHARED: &str = "email_shared";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, position, revision, kind, status, closed_reason, number, name, email, \
             phone, address, vat_number, owner, legacy_source, legacy_id, flags, registered_at, \
             owner = 'legacy' AND EXISTS (SELECT 1 FROM customer AS other \
             WHERE other.email_key = customer.email_key AND other.status = 'open' \
             AND other.id <> customer.id) AS email_shared FROM customer WHERE ",
            $rest
        )
    };
}

macro_rules! select_page {
    ($found_by:literal) => {
        concat!(
            select!($found_by),
            " AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR kind = $4) \
             AND ($5 IS NULL OR owner = $5) AND position < $6 ORDER BY position DESC LIMIT $7"
        )
    };
}

const FIND: &str = select!("id = $1");
// One statement per index, so that the planner never has to guess which filters are set.
const LIST: &str = select_page!("$1 IS NULL AND $2 IS NULL");
const LIST_BY_EMAIL: &str = select_page!("email_key = $1 AND ($2 IS NULL OR legacy_id = $2)");
const LIST_BY_LEGACY_ID: &str = select_page!("$1 IS NULL AND legacy_id = $2");

/// Which customers are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Open or closed.
    pub status: Option<Status>,
    /// Person or company.
    pub kind: Option<Kind>,
    /// Whose word counts.
    pub owner: Option<Owner>,
    /// With this e-mail address.
    pub email: Option<EmailKey>,
    /// With this key in the legacy system.
    pub legacy_id: Option<String>,
}

/// One customer.
pub async fn find(
    readers: &SqlitePool,
    id: CustomerId,
) -> Result<Option<CustomerView>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(id).fetch_optional(readers).await?;
    row.map(TryInto::try_into).transpose()
}

/// Up to `limit` customers, newest first: those whose first event is before a position.
pub async fn list(
    readers: &SqlitePool,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<CustomerView>, sqlx::Error> {
    let statement = match (&filter.email, &filter.legacy_id) {
        (None, None) => LIST,
        (Some(_), _) => LIST_BY_EMAIL,
        (None, Some(_)) => LIST_BY_LEGACY_ID,
    };
    let rows: Vec<Row> = sqlx::query_as(statement)
        .bind(filter.email.as_ref().map(EmailKey::as_bytes))
        .bind(&filter.legacy_id)
        .bind(filter.status)
        .bind(filter.kind)
        .bind(filter.owner)
        .bind(before)
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    position: i64,
    revision: i64,
    kind: Kind,
    status: Status,
    closed_reason: Option<String>,
    number: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    address: Option<String>,
    vat_number: Option<String>,
    owner: Owner,
    legacy_source: Option<String>,
    legacy_id: Option<String>,
    flags: String,
    registered_at: DateTime<Utc>,
    email_shared: bool,
}

impl TryFrom<Row> for CustomerView {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let address = row.address.as_deref().map(json::<Address>).transpose()?;
        let legacy = row.legacy_source.zip(row.legacy_id).map(|(source, id)| {
            let mut flags: Vec<String> = json(&row.flags)?;
            if row.email_shared {
                flags.push(EMAIL_SHARED.to_owned());
            }
            Ok::<_, sqlx::Error>(Legacy { source, id, flags })
        });
        Ok(Self {
            id: row.id,
            kind: row.kind,
            status: row.status,
            closed_reason: row.closed_reason,
            number: row.number,
            name: row.name,
            email: row.email,
            phone: row.phone,
            address: address.map(Into::into),
            vat_number: row.vat_number,
            owner: row.owner,
            legacy: legacy.transpose()?,
            registered_at: row.registered_at,
            revision: row.revision.cast_unsigned(),
            position: row.position.cast_unsigned(),
        })
    }
}

/// Reads a column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use database::Database;
    use sqlx::Executor as _;

    use super::*;

    #[tokio::test]
    async fn every_statement_is_understood_by_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("customers.db").display());
        let database = Database::open(&url, crate::NAME, &crate::MIGRATIONS).await.unwrap();
        let mut transaction = database.begin().await.unwrap();
        for statement in STATEMENTS.iter().chain(crate::projections::STATEMENTS) {
            let prepared = (*transaction).prepare(sqlx::SqlStr::from_static(statement)).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn lookups_go_through_their_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("customers.db").display());
        let database = Database::open(&url, crate::NAME, &crate::MIGRATIONS).await.unwrap();
        for (statement, index) in [
            (LIST_BY_EMAIL, "customer_email"),
            (LIST_BY_LEGACY_ID, "customer_legacy"),
            (LIST, "position"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(database.readers()).await.unwrap();
            let first = &plan[0].3;
            assert!(first.contains("SEARCH") && first.contains(index), "{plan:?}");
            assert!(!plan.iter().any(|step| step.3.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
