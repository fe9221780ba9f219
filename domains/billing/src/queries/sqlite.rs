//! Plain, static SQL on SQLite.

use billing_contract::InvoiceId;
use customers_contract::CustomerId;
use http::Owner;
use kernel::event::Position;
use orders_contract::OrderId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use crate::view::{InvoiceView, Kind, Status};

const INSERT_INVOICE: &str = "INSERT INTO invoice_view (id, position, revision, kind, status, \
     number, customer_id, owner, legacy_source, legacy_id, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const UPDATE_INVOICE: &str = "UPDATE invoice_view SET revision = $2, kind = $3, status = $4, \
     number = $5, customer_id = $6, owner = $7, legacy_source = $8, legacy_id = $9, \
     document = $10 WHERE id = $1";
const FORGET_ORDERS: &str = "DELETE FROM invoice_order WHERE invoice_id = $1";
const ADD_ORDER: &str = "INSERT INTO invoice_order (order_id, invoice_id) VALUES ($1, $2) \
     ON CONFLICT (order_id, invoice_id) DO NOTHING";
const INVOICE: &str = "SELECT document FROM invoice_view WHERE id = $1";

/// A list by every filter there is, with one of them first. `$n IS NULL OR …` alone would read the
/// whole table for what an index finds at once.
macro_rules! invoices_by {
    ($narrowest:literal) => {
        concat!(
            "SELECT position, document FROM invoice_view WHERE ",
            $narrowest,
            " AND ($1 IS NULL OR status = $1) AND ($2 IS NULL OR kind = $2) \
             AND ($3 IS NULL OR customer_id = $3) \
             AND ($4 IS NULL OR id IN (SELECT invoice_id FROM invoice_order WHERE order_id = $4)) \
             AND ($5 IS NULL OR number = $5) AND ($6 IS NULL OR owner = $6) \
             AND ($7 IS NULL OR legacy_id = $7) AND position < $8 \
             ORDER BY position DESC LIMIT $9"
        )
    };
}

const INVOICES: &str = invoices_by!("TRUE");
const INVOICES_BY_CUSTOMER: &str = invoices_by!("customer_id = $3");
const INVOICES_BY_ORDER: &str =
    invoices_by!("id IN (SELECT invoice_id FROM invoice_order WHERE order_id = $4)");
const INVOICES_BY_NUMBER: &str = invoices_by!("number = $5");
const INVOICES_BY_LEGACY_ID: &str = invoices_by!("legacy_id = $7");

const REMEMBER_CUSTOMER: &str = "INSERT INTO known_customer \
     (customer_id, name, address_lines, vat_number) VALUES ($1, $2, $3, $4)";
const CHANGE_CUSTOMER: &str = "UPDATE known_customer \
     SET name = $2, address_lines = $3, vat_number = $4 WHERE customer_id = $1";
const KNOWN_CUSTOMER: &str =
    "SELECT name, address_lines, vat_number FROM known_customer WHERE customer_id = $1";

/// Every statement of this file, for a test that prepares them all.
pub const STATEMENTS: &[&str] = &[
    INSERT_INVOICE,
    UPDATE_INVOICE,
    FORGET_ORDERS,
    ADD_ORDER,
    INVOICE,
    INVOICES,
    INVOICES_BY_CUSTOMER,
    INVOICES_BY_ORDER,
    INVOICES_BY_NUMBER,
    INVOICES_BY_LEGACY_ID,
    REMEMBER_CUSTOMER,
    CHANGE_CUSTOMER,
    KNOWN_CUSTOMER,
];

/// Which documents are wanted; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct InvoiceFilter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this customer.
    pub customer_id: Option<CustomerId>,
    /// For this order.
    pub order_id: Option<OrderId>,
    /// With this number, ours or a legacy system's.
    pub number: Option<String>,
    /// Owned by this system.
    pub owner: Option<Owner>,
    /// Imported under this id: the key there.
    pub legacy_id: Option<String>,
}

impl InvoiceFilter {
    /// The statement that begins with the filter that leaves the fewest documents.
    fn statement(&self) -> &'static str {
        if self.legacy_id.is_some() {
            INVOICES_BY_LEGACY_ID
        } else if self.number.is_some() {
            INVOICES_BY_NUMBER
        } else if self.order_id.is_some() {
            INVOICES_BY_ORDER
        } else if self.customer_id.is_some() {
            INVOICES_BY_CUSTOMER
        } else {
            INVOICES
        }
    }
}

/// Adds a document that began at a position of the log.
pub async fn insert_invoice(
    connection: &mut SqliteConnection,
    view: &InvoiceView,
    position: Position,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_INVOICE)
        .bind(view.id)
        .bind(position.cast_signed())
        .bind(view.revision.cast_signed())
        .bind(view.kind.as_str())
        .bind(view.status.as_str())
        .bind(&view.number)
        .bind(view.customer_id)
        .bind(view.owner)
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind(document(view)?)
        .execute(&mut *connection)
        .await?;
    add_orders(connection, view).await
}

/// Replaces the view of a document that is there.
pub async fn update_invoice(
    connection: &mut SqliteConnection,
    view: &InvoiceView,
) -> Result<(), sqlx::Error> {
    sqlx::query(UPDATE_INVOICE)
        .bind(view.id)
        .bind(view.revision.cast_signed())
        .bind(view.kind.as_str())
        .bind(view.status.as_str())
        .bind(&view.number)
        .bind(view.customer_id)
        .bind(view.owner)
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind(document(view)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FORGET_ORDERS).bind(view.id).execute(&mut *connection).await?;
    add_orders(connection, view).await
}

async fn add_orders(
    connection: &mut SqliteConnection,
    view: &InvoiceView,
) -> Result<(), sqlx::Error> {
    for order_id in &view.order_ids {
        sqlx::query(ADD_ORDER).bind(order_id).bind(view.id).execute(&mut *connection).await?;
    }
    Ok(())
}

/// One document.
pub async fn invoice(
    executor: impl SqliteExecutor<'_>,
    id: InvoiceId,
) -> Result<Option<InvoiceView>, sqlx::Error> {
    let row = sqlx::query(INVOICE).bind(id).fetch_optional(executor).await?;
    row.as_ref().map(view).transpose()
}

/// Up to `rows` documents, newest first, each with its place for paging. Those at and after the
/// place `before` are left out.
pub async fn invoices(
    executor: impl SqliteExecutor<'_>,
    filter: &InvoiceFilter,
    before: i64,
    rows: i64,
) -> Result<Vec<(i64, InvoiceView)>, sqlx::Error> {
    let rows = sqlx::query(filter.statement())
        .bind(filter.status.map(Status::as_str))
        .bind(filter.kind.map(Kind::as_str))
        .bind(filter.customer_id)
        .bind(filter.order_id)
        .bind(&filter.number)
        .bind(filter.owner)
        .bind(&filter.legacy_id)
        .bind(before)
        .bind(rows)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("position")?, view(row)?))).collect()
}

/// What is known of a customer. Personal: it has no form for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownCustomer {
    /// Name of the person or firm.
    pub name: Option<String>,
    /// Lines of the postal address.
    pub address_lines: Option<Vec<String>>,
    /// VAT identification number.
    pub vat_number: Option<String>,
}

/// Remembers a new customer.
pub async fn remember_customer(
    connection: &mut SqliteConnection,
    id: CustomerId,
    customer: &KnownCustomer,
) -> Result<(), sqlx::Error> {
    write_customer(REMEMBER_CUSTOMER, connection, id, customer).await
}

/// Replaces what is known of a customer.
pub async fn change_customer(
    connection: &mut SqliteConnection,
    id: CustomerId,
    customer: &KnownCustomer,
) -> Result<(), sqlx::Error> {
    write_customer(CHANGE_CUSTOMER, connection, id, customer).await
}

async fn write_customer(
    statement: &'static str,
    connection: &mut SqliteConnection,
    id: Uuid,
    customer: &KnownCustomer,
) -> Result<(), sqlx::Error> {
    let lines = customer.address_lines.as_ref().map(serde_json::to_string).transpose();
    sqlx::query(statement)
        .bind(id)
        .bind(&customer.name)
        .bind(lines.map_err(|error| sqlx::Error::Encode(error.into()))?)
        .bind(&customer.vat_number)
        .execute(connection)
        .await?;
    Ok(())
}

/// What is known of a customer, `None` when there is none of this id.
pub async fn known_customer(
    executor: impl SqliteExecutor<'_>,
    id: CustomerId,
) -> Result<Option<KnownCustomer>, sqlx::Error> {
    let Some(row) = sqlx::query(KNOWN_CUSTOMER).bind(id).fetch_optional(executor).await? else {
        return Ok(None);
    };
    let lines: Option<&str> = row.try_get("address_lines")?;
    Ok(Some(KnownCustomer {
        name: row.try_get("name")?,
        address_lines: lines.map(|lines| read(lines, "an address")).transpose()?,
        vat_number: row.try_get("vat_number")?,
    }))
}

fn document(view: &InvoiceView) -> Result<String, sqlx::Error> {
    serde_json::to_string(view).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn view(row: &SqliteRow) -> Result<InvoiceView, sqlx::Error> {
    read(row.try_get("document")?, "the view of a document")
}

/// Reads JSON of our own. serde's text would quote what it could not read, and it may be personal.
fn read<T: serde::de::DeserializeOwned>(json: &str, what: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|error| {
        let place = format!("{what} is damaged at column {}", error.column());
        sqlx::Error::Decode(place.into())
    })
}

#[cfg(test)]
mod tests {
    use database::Database;
    use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

    use super::*;

    async fn tables() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("billing.db").display());
        let database = Database::open(&url, crate::NAME, &crate::MIGRATIONS).await.unwrap();
        (folder, database)
    }

    #[tokio::test]
    async fn every_statement_can_be_prepared() {
        let (_folder, database) = tables().await;
        let mut transaction = database.begin().await.unwrap();
        for statement in STATEMENTS {
            let prepared = transaction.prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{statement}: {prepared:?}");
        }
    }

    #[tokio::test]
    async fn what_few_documents_have_is_found_by_an_index() {
        let (_folder, database) = tables().await;
        for narrow in
            [INVOICES_BY_CUSTOMER, INVOICES_BY_ORDER, INVOICES_BY_NUMBER, INVOICES_BY_LEGACY_ID]
        {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {narrow}"));
            let plan: Vec<SqliteRow> =
                sqlx::query(explain).fetch_all(database.readers()).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.starts_with("SEARCH invoice_view")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN invoice_view")), "{steps:?}");
        }
    }
}
