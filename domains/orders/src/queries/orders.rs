//! The rows of orders: writing, finding and listing them. The same statements read and write one row or many.

use std::collections::BTreeSet;

use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Query, Row, Statement, Transaction};
use orders_contract::OrderId;
use serde::Serialize;
use uuid::Uuid;
use web_api::{List, ListStatements, Owner, SortKey};

use crate::view::{OrderStatus, OrderView};

/// Declares a statement that takes the rows of orders as one JSON array.
macro_rules! with_rows {
    ($before:literal, $after:literal) => {
        Statement::PerEngine {
            sqlite: concat!(
                $before,
                "SELECT unhex(value ->> 'id', '-') AS id, value ->> 'position' AS position, \
                 value ->> 'revision' AS revision, value ->> 'status' AS status, \
                 unhex(value ->> 'customer_id', '-') AS customer_id, \
                 value ->> 'currency' AS currency, value ->> 'owner' AS owner, \
                 value ->> 'legacy_source' AS legacy_source, value ->> 'legacy_id' AS legacy_id, \
                 value ->> 'document' AS document FROM json_each($1)",
                $after
            ),
            postgres: concat!(
                $before,
                "SELECT id, position, revision, status, customer_id, currency, owner, \
                 legacy_source, legacy_id, document FROM json_to_recordset(CAST($1 AS json)) AS row \
                 (id uuid, position bigint, revision bigint, status text, customer_id uuid, \
                 currency text, owner text, legacy_source text, legacy_id text, document text)",
                $after
            ),
        }
    };
}

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const INSERT: Statement = with_rows!(
        "INSERT INTO order_view (id, position, revision, status, customer_id, currency, owner, \
         legacy_source, legacy_id, document) ",
        ""
    );
    const UPDATE: Statement = with_rows!(
        "UPDATE order_view SET revision = new.revision, status = new.status, \
         customer_id = new.customer_id, currency = new.currency, owner = new.owner, \
         legacy_source = new.legacy_source, legacy_id = new.legacy_id, document = new.document FROM (",
        ") AS new WHERE order_view.id = new.id"
    );
    const ROWS: Statement = Statement::PerEngine {
        sqlite: "SELECT position, document FROM order_view WHERE id IN \
                 (SELECT unhex(atom, '-') FROM json_each($1))",
        postgres: "SELECT position, document FROM order_view WHERE id IN \
                   (SELECT CAST(atom AS uuid) FROM json_each($1))",
    };
    const ROWS_OF_CUSTOMER: Statement =
        Statement::Same("SELECT position, document FROM order_view WHERE customer_id = $1");
    const ORDERS_AND_OWNERS: Statement =
        Statement::Same("SELECT id, owner FROM order_view WHERE customer_id = $1");
    const ERASE_CUSTOMER: Statement = Statement::Same(
        "INSERT INTO erased_customer (customer_id) VALUES ($1) ON CONFLICT (customer_id) DO NOTHING",
    );
    const ERASED: Statement = Statement::PerEngine {
        sqlite: "SELECT customer_id FROM erased_customer WHERE customer_id IN \
                 (SELECT unhex(atom, '-') FROM json_each($1))",
        postgres: "SELECT customer_id FROM erased_customer WHERE customer_id IN \
                   (SELECT CAST(atom AS uuid) FROM json_each($1))",
    };
    const FIND: Statement = Statement::Same("SELECT document FROM order_view WHERE id = $1");
}

/// Declares a list. The most selective filter is a plain condition, so that the engine uses its index.
macro_rules! list {
    ($narrowed_by:literal, $recorded:literal, $dated:literal) => {
        web_api::list_statements!(
            select: [
                "SELECT id, position, placed_at, document FROM order_view WHERE ",
                $narrowed_by,
                " (status = $1 OR $1 IS NULL) AND (owner = $2 OR $2 IS NULL) \
                 AND (currency = $3 OR $3 IS NULL) AND (customer_id = $4 OR $4 IS NULL) \
                 AND (legacy_id = $5 OR $5 IS NULL)"
            ],
            date: "placed_at",
            end: ["$6", "$7", "$8", "$9"],
            indexes: [$recorded, $dated],
        )
    };
}

database::statements! {
    /// Every list of this file.
    pub const LISTS: [ListStatements];

    const LIST: ListStatements = list!("", "position", "order_view_placed");
    const LIST_OF_CUSTOMER: ListStatements =
        list!("customer_id = $4 AND", "order_view_customer", "order_view_customer_placed");
    const LIST_OF_LEGACY_ID: ListStatements =
        list!("legacy_id = $5 AND", "order_view_legacy", "order_view_legacy");
}

/// The filter of a list of orders. `None` matches every order.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Status of the orders.
    pub status: Option<OrderStatus>,
    /// Customer who placed the orders.
    pub customer_id: Option<CustomerId>,
    /// System that owns the orders.
    pub owner: Option<Owner>,
    /// ISO 4217 currency code of the orders.
    pub currency: Option<String>,
    /// Key of the order in the legacy system.
    pub legacy_id: Option<String>,
}

/// An order in the read model.
pub struct ViewRow {
    /// Position of the order's first event in the log.
    pub position: i64,
    /// The order as the API shows it.
    pub view: OrderView,
}

/// The columns of an order's row.
#[derive(Serialize)]
struct Columns<'v> {
    id: OrderId,
    position: i64,
    revision: u64,
    status: &'static str,
    customer_id: Option<CustomerId>,
    currency: &'v str,
    owner: &'static str,
    legacy_source: Option<&'v str>,
    legacy_id: Option<&'v str>,
    document: &'v OrderView,
}

impl<'v> Columns<'v> {
    fn of(ViewRow { position, view }: &'v ViewRow) -> Self {
        Self {
            id: view.id,
            position: *position,
            revision: view.revision,
            status: view.status.as_str(),
            customer_id: view.customer_id,
            currency: &view.currency,
            owner: view.owner.as_str(),
            legacy_source: view.legacy.as_ref().map(|legacy| legacy.source.as_str()),
            legacy_id: view.legacy.as_ref().map(|legacy| legacy.id.as_str()),
            document: view,
        }
    }
}

/// Returns the rows of orders, without those that do not exist.
pub async fn rows_of(
    transaction: &mut Transaction,
    ids: &[OrderId],
) -> Result<Vec<ViewRow>, DatabaseError> {
    let rows = transaction.query(&ROWS).bind_json(ids).fetch_all().await?;
    rows.iter().map(row).collect()
}

fn row(row: &Row) -> Result<ViewRow, DatabaseError> {
    Ok(ViewRow { position: row.get("position")?, view: row.json("document")? })
}

/// Inserts orders.
pub async fn insert(
    transaction: &mut Transaction,
    rows: Vec<ViewRow>,
) -> Result<(), DatabaseError> {
    write(transaction, &INSERT, rows).await
}

/// Updates orders that exist.
pub async fn update(
    transaction: &mut Transaction,
    rows: Vec<ViewRow>,
) -> Result<(), DatabaseError> {
    write(transaction, &UPDATE, rows).await
}

async fn write(
    transaction: &mut Transaction,
    statement: &'static Statement,
    mut rows: Vec<ViewRow>,
) -> Result<(), DatabaseError> {
    if rows.is_empty() {
        return Ok(());
    }
    remove_erased_text(transaction, &mut rows).await?;
    let columns: Vec<_> = rows.iter().map(Columns::of).collect();
    transaction.query(statement).bind_json(&columns).execute().await?;
    Ok(())
}

/// Removes the free text of orders whose customers are erased. The keys are destroyed shortly after the
/// event: until then, events can still contain free text, and the codec can read it.
async fn remove_erased_text(
    transaction: &mut Transaction,
    rows: &mut [ViewRow],
) -> Result<(), DatabaseError> {
    let with_text = rows.iter().filter(|row| row.view.has_free_text());
    let customers: BTreeSet<CustomerId> =
        with_text.filter_map(|row| row.view.customer_id).collect();
    if customers.is_empty() {
        return Ok(());
    }
    let erased = transaction.query(&ERASED).bind_json(&customers).fetch_all().await?;
    let erased = erased.iter().map(|row| Ok(row.get::<Uuid>("customer_id")?.into()));
    let erased: Result<BTreeSet<CustomerId>, DatabaseError> = erased.collect();
    let erased = erased?;
    for row in rows {
        if row.view.customer_id.is_some_and(|customer| erased.contains(&customer)) {
            row.view = row.view.clone().without_free_text();
        }
    }
    Ok(())
}

/// Removes the free text of a customer's orders, and of their later versions.
pub async fn remove_free_text(
    transaction: &mut Transaction,
    customer_id: CustomerId,
) -> Result<(), DatabaseError> {
    transaction.query(&ERASE_CUSTOMER).bind(customer_id.as_uuid()).execute().await?;
    let rows = transaction.query(&ROWS_OF_CUSTOMER).bind(customer_id.as_uuid()).fetch_all().await?;
    let rows: Result<Vec<_>, _> = rows.iter().map(row).collect();
    // Writing the rows removes the free text, because the customer is recorded as erased.
    update(transaction, rows?).await
}

/// Returns the orders of a customer, each with the system that owns it.
pub async fn owners_of<'c>(
    executor: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Vec<(OrderId, Owner)>, DatabaseError> {
    let rows = executor.query(&ORDERS_AND_OWNERS).bind(customer_id.as_uuid()).fetch_all().await?;
    let id_and_owner = |row: &Row| Ok((row.get::<Uuid>("id")?.into(), row.name("owner")?));
    rows.iter().map(id_and_owner).collect()
}

/// Returns an order.
pub async fn find<'c>(
    executor: impl Executor<'c>,
    id: OrderId,
) -> Result<Option<OrderView>, DatabaseError> {
    let row = executor.query(&FIND).bind(id.as_uuid()).fetch_optional().await?;
    row.map(|row| row.json("document")).transpose()
}

/// Returns a page of a list of orders, each with its sort key.
pub async fn list<'c>(
    executor: impl Executor<'c>,
    filter: &OrderFilter,
    list: &List,
) -> Result<Vec<(SortKey, OrderView)>, DatabaseError> {
    let statements = match filter {
        OrderFilter { legacy_id: Some(_), .. } => &LIST_OF_LEGACY_ID,
        OrderFilter { customer_id: Some(_), .. } => &LIST_OF_CUSTOMER,
        _ => &LIST,
    };
    let filtered = |query: Query<'c>| {
        query
            .bind(filter.status.map(OrderStatus::as_str))
            .bind(filter.owner.map(Owner::as_str))
            .bind(&filter.currency)
            .bind(filter.customer_id.map(CustomerId::as_uuid))
            .bind(&filter.legacy_id)
    };
    list.rows(executor, statements, filtered, |row| row.json("document")).await
}
