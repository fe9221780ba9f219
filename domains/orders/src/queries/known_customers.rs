//! The rows of customers who are known here: writing and finding them.

use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Statement, Transaction};

database::statements! {
    /// Every statement of this file.
    pub const KNOWN_CUSTOMER_STATEMENTS: [Statement];

    const REMEMBER_CUSTOMER: Statement =
        Statement::Same("INSERT INTO known_customer (customer_id, open) VALUES ($1, $2)");
    const CHANGE_CUSTOMER: Statement =
        Statement::Same("UPDATE known_customer SET open = $2 WHERE customer_id = $1");
    const CUSTOMER_IS_OPEN: Statement =
        Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");
}

/// Remembers a new customer.
pub async fn remember_customer(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<(), DatabaseError> {
    transaction.query(&REMEMBER_CUSTOMER).bind(customer_id.as_uuid()).bind(open).execute().await?;
    Ok(())
}

/// Opens or closes a customer; `false` when there is none of this id.
pub async fn change_customer(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<bool, DatabaseError> {
    let change = transaction.query(&CHANGE_CUSTOMER).bind(customer_id.as_uuid()).bind(open);
    Ok(change.execute().await? == 1)
}

/// Whether a customer may order, `None` when there is none of this id.
pub async fn customer_is_open<'c>(
    of: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Option<bool>, DatabaseError> {
    of.query(&CUSTOMER_IS_OPEN).bind(customer_id.as_uuid()).scalar_optional().await
}
