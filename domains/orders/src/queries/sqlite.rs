//! Plain, static SQL on SQLite.

use http::Owner;
use kernel::event::Position;
use orders_contract::OrderId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use crate::view::{OrderStatus, OrderView};

const INSERT_ORDER: &str = "INSERT INTO order_view \
     (id, position, revision, status, customer_id, currency, owner, legacy_source, legacy_id, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const UPDATE_ORDER: &str = "UPDATE order_view SET revision = $2, status = $3, customer_id = $4, \
     currency = $5, owner = $6, legacy_source = $7, legacy_id = $8, document = $9 WHERE id = $1";
const ORDER: &str = "SELECT document FROM order_view WHERE id = $1";

/// The list, with its conditions on the customer and on the legacy system's id. Where one of the
/// two is given it is stated plainly, so that SQLite uses its index.
macro_rules! list {
    ($customer:literal, $legacy:literal) => {
        concat!(
            "SELECT position, document FROM order_view WHERE position < $6 \
             AND ($1 IS NULL OR status = $1) AND ($3 IS NULL OR owner = $3) \
             AND ($4 IS NULL OR currency = $4) AND ",
            $customer,
            " AND ",
            $legacy,
            " ORDER BY position DESC LIMIT $7"
        )
    };
}
const ORDERS: &str = list!("$2 IS NULL", "$5 IS NULL");
const ORDERS_OF_CUSTOMER: &str = list!("customer_id = $2", "$5 IS NULL");
const ORDERS_OF_LEGACY_ID: &str = list!("($2 IS NULL OR customer_id = $2)", "legacy_id = $5");

const REMEMBER_CUSTOMER: &str = "INSERT INTO known_customer (customer_id, open) VALUES ($1, $2)";
const CHANGE_CUSTOMER: &str = "UPDATE known_customer SET open = $2 WHERE customer_id = $1";
const CUSTOMER_IS_OPEN: &str = "SELECT open FROM known_customer WHERE customer_id = $1";

/// Every statement of this file, for a test that prepares them all.
pub const STATEMENTS: &[&str] = &[
    INSERT_ORDER,
    UPDATE_ORDER,
    ORDER,
    ORDERS,
    ORDERS_OF_CUSTOMER,
    ORDERS_OF_LEGACY_ID,
    REMEMBER_CUSTOMER,
    CHANGE_CUSTOMER,
    CUSTOMER_IS_OPEN,
];

/// Which orders are wanted; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// In this status.
    pub status: Option<OrderStatus>,
    /// Of this customer.
    pub customer_id: Option<Uuid>,
    /// Owned by this system.
    pub owner: Option<Owner>,
    /// In this currency.
    pub currency: Option<String>,
    /// Imported under this id: the key there.
    pub legacy_id: Option<String>,
}

/// Adds an order that began at a position of the log.
pub async fn insert_order(
    connection: &mut SqliteConnection,
    view: &OrderView,
    position: Position,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_ORDER)
        .bind(view.id)
        .bind(position.cast_signed())
        .bind(view.revision.cast_signed())
        .bind(view.status.as_str())
        .bind(view.customer_id)
        .bind(&view.currency)
        .bind(view.owner)
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind(document(view)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Replaces the view of an order that is there.
pub async fn update_order(
    connection: &mut SqliteConnection,
    view: &OrderView,
) -> Result<(), sqlx::Error> {
    sqlx::query(UPDATE_ORDER)
        .bind(view.id)
        .bind(view.revision.cast_signed())
        .bind(view.status.as_str())
        .bind(view.customer_id)
        .bind(&view.currency)
        .bind(view.owner)
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind(document(view)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// One order.
pub async fn order(
    executor: impl SqliteExecutor<'_>,
    id: OrderId,
) -> Result<Option<OrderView>, sqlx::Error> {
    let row = sqlx::query(ORDER).bind(id).fetch_optional(executor).await?;
    row.as_ref().map(view).transpose()
}

/// Up to `limit` orders that began before a position, newest first, each with its own.
pub async fn orders(
    executor: impl SqliteExecutor<'_>,
    filter: &OrderFilter,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, OrderView)>, sqlx::Error> {
    let statement = match filter {
        OrderFilter { legacy_id: Some(_), .. } => ORDERS_OF_LEGACY_ID,
        OrderFilter { customer_id: Some(_), .. } => ORDERS_OF_CUSTOMER,
        _ => ORDERS,
    };
    let rows = sqlx::query(statement)
        .bind(filter.status.map(OrderStatus::as_str))
        .bind(filter.customer_id)
        .bind(filter.owner)
        .bind(&filter.currency)
        .bind(&filter.legacy_id)
        .bind(before)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("position")?, view(row)?))).collect()
}

/// Remembers a new customer.
pub async fn remember_customer(
    connection: &mut SqliteConnection,
    customer_id: Uuid,
    open: bool,
) -> Result<(), sqlx::Error> {
    let statement = sqlx::query(REMEMBER_CUSTOMER).bind(customer_id).bind(open);
    statement.execute(connection).await?;
    Ok(())
}

/// Opens or closes a customer; `false` when there is none of this id.
pub async fn change_customer(
    connection: &mut SqliteConnection,
    customer_id: Uuid,
    open: bool,
) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query(CHANGE_CUSTOMER).bind(customer_id).bind(open);
    Ok(statement.execute(connection).await?.rows_affected() == 1)
}

/// Whether a customer may order, `None` when there is none of this id.
pub async fn customer_is_open(
    executor: impl SqliteExecutor<'_>,
    customer_id: Uuid,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(CUSTOMER_IS_OPEN).bind(customer_id).fetch_optional(executor).await
}

fn document(view: &OrderView) -> Result<String, sqlx::Error> {
    serde_json::to_string(view).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn view(row: &SqliteRow) -> Result<OrderView, sqlx::Error> {
    let document: &str = row.try_get("document")?;
    // serde's text would quote what it could not read: an order may speak of people.
    serde_json::from_str(document).map_err(|error| {
        let place = format!("the view of an order is damaged at column {}", error.column());
        sqlx::Error::Decode(place.into())
    })
}
