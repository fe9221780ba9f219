//! The rows of known customers: writing and finding them.

use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Statement, Transaction};

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const INSERT: Statement =
        Statement::Same("INSERT INTO known_customer (customer_id, open) VALUES ($1, $2)");
    const UPDATE: Statement =
        Statement::Same("UPDATE known_customer SET open = $2 WHERE customer_id = $1");
    const IS_OPEN: Statement =
        Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");
}

/// Inserts a new customer.
pub async fn insert(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<(), DatabaseError> {
    transaction.query(&INSERT).bind(customer_id.as_uuid()).bind(open).execute().await?;
    Ok(())
}

/// Opens or closes a customer. Returns `false` if there is no customer with this id.
pub async fn update(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<bool, DatabaseError> {
    let change = transaction.query(&UPDATE).bind(customer_id.as_uuid()).bind(open);
    Ok(change.execute().await? == 1)
}

/// Returns whether a customer may order, or `None` if there is no customer with this id.
pub async fn is_open<'c>(
    executor: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Option<bool>, DatabaseError> {
    executor.query(&IS_OPEN).bind(customer_id.as_uuid()).scalar_optional().await
}
