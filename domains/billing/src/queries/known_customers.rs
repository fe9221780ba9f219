//! The rows of known customers. The statements are the same on both engines.

use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Query, Statement, Transaction};

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const INSERT: Statement = Statement::Same(
        "INSERT INTO known_customer (customer_id, name, address_lines, vat_number) \
         VALUES ($1, $2, $3, $4)",
    );
    const UPDATE: Statement = Statement::Same(
        "UPDATE known_customer SET name = $2, address_lines = $3, vat_number = $4 \
         WHERE customer_id = $1",
    );
    const FIND: Statement = Statement::Same(
        "SELECT name, address_lines, vat_number FROM known_customer WHERE customer_id = $1",
    );
}

/// Name and address of a customer. Personal data, so it does not implement `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownCustomer {
    /// Name of the person or company.
    pub name: Option<String>,
    /// Lines of the postal address.
    pub address_lines: Option<Vec<String>>,
    /// VAT identification number.
    pub vat_number: Option<String>,
}

/// Inserts a customer.
pub async fn insert(
    transaction: &mut Transaction,
    id: CustomerId,
    customer: &KnownCustomer,
) -> Result<(), DatabaseError> {
    write(transaction.query(&INSERT), id, customer).await
}

/// Replaces the data of a customer.
pub async fn update(
    transaction: &mut Transaction,
    id: CustomerId,
    customer: &KnownCustomer,
) -> Result<(), DatabaseError> {
    write(transaction.query(&UPDATE), id, customer).await
}

async fn write(
    statement: Query<'_>,
    id: CustomerId,
    customer: &KnownCustomer,
) -> Result<(), DatabaseError> {
    statement
        .bind(id.as_uuid())
        .bind(&customer.name)
        .bind_json(&customer.address_lines)
        .bind(&customer.vat_number)
        .execute()
        .await?;
    Ok(())
}

/// Returns the data of a customer; `None` if the customer is not known.
pub async fn find<'c>(
    of: impl Executor<'c>,
    id: CustomerId,
) -> Result<Option<KnownCustomer>, DatabaseError> {
    let Some(row) = of.query(&FIND).bind(id.as_uuid()).fetch_optional().await? else {
        return Ok(None);
    };
    Ok(Some(KnownCustomer {
        name: row.get("name")?,
        address_lines: row.json("address_lines")?,
        vat_number: row.get("vat_number")?,
    }))
}
