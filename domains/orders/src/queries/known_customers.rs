//! The rows of known customers: writing and finding them.

use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Statement, Transaction};

database::statements! {
    /// Every statement of this file.
    pub const KNOWN_CUSTOMER_STATEMENTS: [Statement];

    const INSERT_CUSTOMER: Statement =
        Statement::Same("INSERT INTO known_customer (customer_id, open) VALUES ($1, $2)");
    const CHANGE_CUSTOMER: Statement =
        Statement::Same("UPDATE known_customer SET open = $2 WHERE customer_id = $1");
    const CUSTOMER_IS_OPEN: Statement =
        Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");
}

/// Inserts a new customer.
pub async fn insert_customer(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<(), DatabaseError> {
    transaction.query(&INSERT_CUSTOMER).bind(customer_id.as_uuid()).bind(open).execute().await?;
    Ok(())
}

/// Opens or closes a customer. Returns `false` if there is no customer with this id.
pub async fn change_customer(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<bool, DatabaseError> {
    let change = transaction.query(&CHANGE_CUSTOMER).bind(customer_id.as_uuid()).bind(open);
    Ok(change.execute().await? == 1)
}

/// Returns whether a customer may order, or `None` if there is no customer with this id.
pub async fn customer_is_open<'c>(
    executor: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Option<bool>, DatabaseError> {
    executor.query(&CUSTOMER_IS_OPEN).bind(customer_id.as_uuid()).scalar_optional().await
}
