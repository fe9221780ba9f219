//! The rows of erased customers whose documents are retained.

use chrono::NaiveDate;
use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Row, Statement, Transaction};
use uuid::Uuid;

use crate::view::InvoiceView;

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const DOCUMENTS: Statement =
        Statement::Same("SELECT document FROM invoice_view WHERE customer_id = $1");
    const BEGIN: Statement = Statement::Same(
        "INSERT INTO erased_customer (customer_id, last_document, ended) VALUES ($1, $2, FALSE) \
         ON CONFLICT (customer_id) DO NOTHING",
    );
    const PROLONG: Statement = Statement::Same(
        "UPDATE erased_customer SET last_document = \
         CASE WHEN last_document > $2 THEN last_document ELSE $2 END \
         WHERE customer_id = $1 RETURNING ended",
    );
    const END: Statement =
        Statement::Same("UPDATE erased_customer SET ended = TRUE WHERE customer_id = $1");
    const LAST_DOCUMENT: Statement = Statement::Same(
        "SELECT last_document FROM erased_customer WHERE customer_id = $1 AND NOT ended",
    );
    const OVER: Statement = Statement::Same(
        "SELECT customer_id FROM erased_customer \
         WHERE NOT ended AND (last_document <= $1 OR last_document IS NULL) \
         AND (customer_id > $2 OR $2 IS NULL) ORDER BY customer_id LIMIT $3",
    );
}

/// Returns every document of a customer.
pub async fn documents_of<'c>(
    of: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Vec<InvoiceView>, DatabaseError> {
    let rows = of.query(&DOCUMENTS).bind(customer_id.as_uuid()).fetch_all().await?;
    rows.iter().map(|row| row.json("document")).collect()
}

/// Records that a customer was erased, with the day of its last document, if it has one.
pub async fn begin(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    last_document: Option<NaiveDate>,
) -> Result<(), DatabaseError> {
    let last_document = last_document.map(|day| day.to_string());
    transaction.query(&BEGIN).bind(customer_id.as_uuid()).bind(last_document).execute().await?;
    Ok(())
}

/// Records a document of a customer, if the customer was erased before. Returns whether the retention
/// of the customer's documents has ended.
pub async fn prolong(
    transaction: &mut Transaction,
    document: &InvoiceView,
) -> Result<bool, DatabaseError> {
    let Some(customer_id) = document.customer_id else { return Ok(false) };
    let day = document.day().to_string();
    let ended = transaction.query(&PROLONG).bind(customer_id.as_uuid()).bind(day);
    Ok(ended.scalar_optional().await?.unwrap_or(false))
}

/// Records that the retention of a customer's documents has ended.
pub async fn end(
    transaction: &mut Transaction,
    customer_id: CustomerId,
) -> Result<(), DatabaseError> {
    transaction.query(&END).bind(customer_id.as_uuid()).execute().await?;
    Ok(())
}

/// Returns the day of the last document of an erased customer. The inner `None` stands for a customer
/// without documents, the outer for one whose documents are not retained.
pub async fn last_document<'c>(
    of: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Option<Option<NaiveDate>>, DatabaseError> {
    let row = of.query(&LAST_DOCUMENT).bind(customer_id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(day).transpose()
}

fn day(row: &Row) -> Result<Option<NaiveDate>, DatabaseError> {
    let text: Option<&str> = row.get("last_document")?;
    text.map(str::parse).transpose().map_err(|_| DatabaseError::Damaged {
        column: "last_document".to_owned(),
        reason: "it holds no day".to_owned(),
    })
}

/// Returns a page of erased customers, sorted by id, whose documents are retained and whose last
/// document, if any, is of this day or an earlier one.
pub async fn over<'c>(
    of: impl Executor<'c>,
    last_document: NaiveDate,
    after: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<CustomerId>, DatabaseError> {
    let page = of
        .query(&OVER)
        .bind(last_document.to_string())
        .bind(after.map(CustomerId::as_uuid))
        .bind(limit);
    let ids: Vec<Uuid> = page.scalars().await?;
    Ok(ids.into_iter().map(CustomerId::from).collect())
}
