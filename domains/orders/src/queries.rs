//! The statements over the module's read models. They are the same on both engines.

use database::{DatabaseError, Executor, Query, Statement, Transaction};
use http::Owner;
use kernel::event::Position;
use orders_contract::OrderId;
use uuid::Uuid;

use crate::view::{OrderStatus, OrderView};

const INSERT_ORDER: Statement = Statement::Same(
    "INSERT INTO order_view (id, revision, status, customer_id, currency, owner, legacy_source, \
     legacy_id, document, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);
const UPDATE_ORDER: Statement = Statement::Same(
    "UPDATE order_view SET revision = $2, status = $3, customer_id = $4, currency = $5, \
     owner = $6, legacy_source = $7, legacy_id = $8, document = $9 WHERE id = $1",
);
const ALL_ORDERS_OF_CUSTOMER: Statement =
    Statement::Same("SELECT document FROM order_view WHERE customer_id = $1");
const ORDERS_AND_OWNERS: Statement =
    Statement::Same("SELECT id, owner FROM order_view WHERE customer_id = $1");
const ERASE_CUSTOMER: Statement = Statement::Same(
    "INSERT INTO erased_customer (customer_id) VALUES ($1) ON CONFLICT (customer_id) DO NOTHING",
);
const IS_ERASED: Statement =
    Statement::Same("SELECT customer_id FROM erased_customer WHERE customer_id = $1");
const ORDER: Statement = Statement::Same("SELECT document FROM order_view WHERE id = $1");

/// A page of the list. What narrows it most is stated plainly, so that its index is used.
macro_rules! page {
    ($narrowed_by:literal) => {
        Statement::Same(concat!(
            "SELECT position, document FROM order_view WHERE ",
            $narrowed_by,
            " (status = $1 OR $1 IS NULL) AND (owner = $2 OR $2 IS NULL) \
             AND (currency = $3 OR $3 IS NULL) AND position < $4 \
             ORDER BY position DESC LIMIT $5"
        ))
    };
}
const ORDERS: Statement = page!("");
const ORDERS_OF_CUSTOMER: Statement = page!("customer_id = $6 AND");
const ORDERS_OF_LEGACY_ID: Statement =
    page!("(customer_id = $6 OR $6 IS NULL) AND legacy_id = $7 AND");

const REMEMBER_CUSTOMER: Statement =
    Statement::Same("INSERT INTO known_customer (customer_id, open) VALUES ($1, $2)");
const CHANGE_CUSTOMER: Statement =
    Statement::Same("UPDATE known_customer SET open = $2 WHERE customer_id = $1");
const CUSTOMER_IS_OPEN: Statement =
    Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");

/// Every statement of this file, for a test that prepares them all.
pub const STATEMENTS: &[Statement] = &[
    INSERT_ORDER,
    UPDATE_ORDER,
    ALL_ORDERS_OF_CUSTOMER,
    ORDERS_AND_OWNERS,
    ERASE_CUSTOMER,
    IS_ERASED,
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
    transaction: &mut Transaction,
    view: OrderView,
    position: Position,
) -> Result<(), DatabaseError> {
    let view = unless_erased(transaction, view).await?;
    let insert = bind_order(transaction.query(&INSERT_ORDER), &view);
    insert.bind(position.cast_signed()).execute().await?;
    Ok(())
}

/// Replaces the view of an order that is there.
pub async fn update_order(
    transaction: &mut Transaction,
    view: OrderView,
) -> Result<(), DatabaseError> {
    let view = unless_erased(transaction, view).await?;
    bind_order(transaction.query(&UPDATE_ORDER), &view).execute().await?;
    Ok(())
}

/// An order without what people said in it if its customer was erased. The keys are destroyed a
/// moment after the event: until then something may still be said, and read.
async fn unless_erased(
    transaction: &mut Transaction,
    view: OrderView,
) -> Result<OrderView, DatabaseError> {
    let Some(customer_id) = view.customer_id.filter(|_| view.says_something()) else {
        return Ok(view);
    };
    let erased = transaction.query(&IS_ERASED).bind(customer_id).fetch_optional().await?;
    Ok(if erased.is_some() { view.silenced() } else { view })
}

/// Takes out of a customer's orders what people said in them, and keeps it out.
pub async fn silence_orders(
    transaction: &mut Transaction,
    customer_id: Uuid,
) -> Result<(), DatabaseError> {
    transaction.query(&ERASE_CUSTOMER).bind(customer_id).execute().await?;
    let orders = transaction.query(&ALL_ORDERS_OF_CUSTOMER).bind(customer_id).fetch_all().await?;
    for order in orders {
        let order: OrderView = order.json("document")?;
        update_order(transaction, order.silenced()).await?;
    }
    Ok(())
}

/// The orders of a customer, and who decides about each.
pub async fn orders_of<'c>(
    of: impl Executor<'c>,
    customer_id: Uuid,
) -> Result<Vec<(OrderId, Owner)>, DatabaseError> {
    let rows = of.query(&ORDERS_AND_OWNERS).bind(customer_id).fetch_all().await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.name("owner")?))).collect()
}

fn bind_order<'c>(statement: Query<'c>, view: &OrderView) -> Query<'c> {
    statement
        .bind(view.id)
        .bind(view.revision.cast_signed())
        .bind(view.status.as_str())
        .bind(view.customer_id)
        .bind(&view.currency)
        .bind(view.owner.as_str())
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind_json(view)
}

/// One order.
pub async fn order<'c>(
    of: impl Executor<'c>,
    id: OrderId,
) -> Result<Option<OrderView>, DatabaseError> {
    let row = of.query(&ORDER).bind(id).fetch_optional().await?;
    row.map(|row| row.json("document")).transpose()
}

/// Up to `limit` orders that began before a position, newest first, each with its own.
pub async fn orders<'c>(
    of: impl Executor<'c>,
    filter: &OrderFilter,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, OrderView)>, DatabaseError> {
    let page = |statement| {
        of.query(statement)
            .bind(filter.status.map(OrderStatus::as_str))
            .bind(filter.owner.map(Owner::as_str))
            .bind(&filter.currency)
            .bind(before)
            .bind(limit)
    };
    let page = match (&filter.legacy_id, filter.customer_id) {
        (Some(legacy_id), customer_id) => {
            page(&ORDERS_OF_LEGACY_ID).bind(customer_id).bind(legacy_id)
        }
        (None, Some(customer_id)) => page(&ORDERS_OF_CUSTOMER).bind(customer_id),
        (None, None) => page(&ORDERS),
    };
    let rows = page.fetch_all().await?;
    rows.iter().map(|row| Ok((row.get("position")?, row.json("document")?))).collect()
}

/// Remembers a new customer.
pub async fn remember_customer(
    transaction: &mut Transaction,
    customer_id: Uuid,
    open: bool,
) -> Result<(), DatabaseError> {
    transaction.query(&REMEMBER_CUSTOMER).bind(customer_id).bind(open).execute().await?;
    Ok(())
}

/// Opens or closes a customer; `false` when there is none of this id.
pub async fn change_customer(
    transaction: &mut Transaction,
    customer_id: Uuid,
    open: bool,
) -> Result<bool, DatabaseError> {
    let change = transaction.query(&CHANGE_CUSTOMER).bind(customer_id).bind(open);
    Ok(change.execute().await? == 1)
}

/// Whether a customer may order, `None` when there is none of this id.
pub async fn customer_is_open<'c>(
    of: impl Executor<'c>,
    customer_id: Uuid,
) -> Result<Option<bool>, DatabaseError> {
    of.query(&CUSTOMER_IS_OPEN).bind(customer_id).scalar_optional().await
}
