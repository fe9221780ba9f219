//! The rows of payments. The statements are the same on both engines.

use billing_contract::InvoiceId;
use chrono::{DateTime, NaiveDate, Utc};
use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Query, Row, Statement, Transaction};
use payments_contract::PaymentId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web_api::{List, ListStatements, Owner, SortKey};

use crate::view::{PaymentStatus, RefundProgress};

macro_rules! columns {
    () => {
        "SELECT id, position, requested_at, revision, status, invoice_id, customer_id, owner, \
         legacy_source, legacy_id, document FROM payment "
    };
}

/// A list whose first filter is stated plainly, so that the engine uses its index.
macro_rules! list {
    ($narrowed_by:literal, $recorded:literal, $dated:literal) => {
        web_api::list_statements!(
            select: [
                columns!(),
                "WHERE ",
                $narrowed_by,
                " (status = $1 OR $1 IS NULL) AND (owner = $2 OR $2 IS NULL) \
                 AND (invoice_id = $3 OR $3 IS NULL) AND (legacy_id = $4 OR $4 IS NULL)"
            ],
            date: "requested_at",
            end: ["$5", "$6", "$7", "$8"],
            indexes: [$recorded, $dated],
        )
    };
}

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const FIND: Statement = Statement::Same(concat!(columns!(), "WHERE id = $1"));
    const INSERT: Statement = Statement::Same(
        "INSERT INTO payment (id, position, revision, status, invoice_id, owner, legacy_source, \
         legacy_id, document, customer_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    const UPDATE: Statement = Statement::Same(
        "UPDATE payment SET revision = $2, status = $3, invoice_id = $4, document = $5, \
         customer_id = $6 WHERE id = $1",
    );
    const ERASE_CUSTOMER: Statement = Statement::Same(
        "INSERT INTO erased_customer (customer_id) VALUES ($1) ON CONFLICT (customer_id) DO NOTHING",
    );
    const IS_ERASED: Statement =
        Statement::Same("SELECT customer_id FROM erased_customer WHERE customer_id = $1");
    const OF_CUSTOMER: Statement = Statement::Same(concat!(columns!(), "WHERE customer_id = $1"));
}

database::statements! {
    /// Every list of this file.
    pub const LISTS: [ListStatements];

    const LIST: ListStatements = list!("", "position", "payment_requested");
    const LIST_BY_STATUS: ListStatements =
        list!("status = $1 AND", "payment_status", "payment_status_requested");
    const LIST_BY_OWNER: ListStatements =
        list!("owner = $2 AND", "payment_owner", "payment_owner_requested");
    const LIST_BY_INVOICE: ListStatements =
        list!("invoice_id = $3 AND", "payment_invoice", "payment_invoice");
    const LIST_BY_LEGACY_ID: ListStatements =
        list!("legacy_id = $4 AND", "payment_legacy_id", "payment_legacy_id");
}

/// A row of the read model of payments.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRow {
    /// Id of the payment.
    pub id: PaymentId,
    /// Position of the payment's first event in the log.
    pub position: u64,
    /// Last revision of the payment's stream.
    pub revision: u64,
    /// Status of the payment.
    pub status: PaymentStatus,
    /// Invoice that the payment settles, if known.
    pub invoice_id: Option<InvoiceId>,
    /// Customer of the payment, if known.
    pub customer_id: Option<CustomerId>,
    /// Owning system.
    pub owner: Owner,
    /// Name of the legacy system.
    pub legacy_source: Option<String>,
    /// Key in the legacy system.
    pub legacy_id: Option<String>,
    /// Fields without a column.
    pub details: PaymentDetails,
}

impl PaymentRow {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get::<Uuid>("id")?.into(),
            position: row.get::<i64>("position")?.cast_unsigned(),
            revision: row.get::<i64>("revision")?.cast_unsigned(),
            status: row.name("status")?,
            invoice_id: row.get::<Option<Uuid>>("invoice_id")?.map(InvoiceId::from),
            customer_id: row.get::<Option<Uuid>>("customer_id")?.map(CustomerId::from),
            owner: row.name("owner")?,
            legacy_source: row.get("legacy_source")?,
            legacy_id: row.get("legacy_id")?,
            details: row.json("document")?,
        })
    }
}

/// The fields of a payment that no filter or sort uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentDetails {
    /// Amount of the payment.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Time of the request, or of the first captured change in a legacy system.
    pub requested_at: DateTime<Utc>,
    /// Payment method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Deadline of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// Reason why the payment was declined or, in a legacy system, cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The provider's reference of the capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_reference: Option<String>,
    /// Refund that changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<LastRefund>,
    /// Total of all refunds, requested or done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed_back: Option<Decimal>,
    /// Refunded amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Decimal>,
    /// Day of the payment in a legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Whether the legacy system has matched the payment with what it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled: Option<bool>,
    /// Codes of irregularities in the legacy system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// The refund of a payment that changed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRefund {
    /// Progress of the refund.
    pub status: RefundProgress,
    /// Amount of the refund.
    pub amount: Decimal,
    /// The provider's reference of the refund, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Filter of a list of payments; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// Status.
    pub status: Option<PaymentStatus>,
    /// Invoice.
    pub invoice_id: Option<InvoiceId>,
    /// Owning system.
    pub owner: Option<Owner>,
    /// Key in the legacy system.
    pub legacy_id: Option<String>,
}

/// Returns a payment.
pub async fn find<'c>(
    of: impl Executor<'c>,
    id: PaymentId,
) -> Result<Option<PaymentRow>, DatabaseError> {
    let row = of.query(&FIND).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(PaymentRow::read).transpose()
}

/// Returns a page of payments, each with its sort key.
pub async fn list<'c>(
    of: impl Executor<'c>,
    filter: &PaymentFilter,
    list: &List,
) -> Result<Vec<(SortKey, PaymentRow)>, DatabaseError> {
    let statements = match filter {
        PaymentFilter { legacy_id: Some(_), .. } => &LIST_BY_LEGACY_ID,
        PaymentFilter { invoice_id: Some(_), .. } => &LIST_BY_INVOICE,
        PaymentFilter { status: Some(_), .. } => &LIST_BY_STATUS,
        PaymentFilter { owner: Some(_), .. } => &LIST_BY_OWNER,
        PaymentFilter { status: None, invoice_id: None, owner: None, legacy_id: None } => &LIST,
    };
    let filtered = |query: Query<'c>| {
        query
            .bind(filter.status.map(PaymentStatus::name))
            .bind(filter.owner.map(Owner::as_str))
            .bind(filter.invoice_id.map(InvoiceId::as_uuid))
            .bind(&filter.legacy_id)
    };
    list.rows(of, statements, filtered, PaymentRow::read).await
}

/// Returns the payments of a customer.
pub(crate) async fn of_customer<'c>(
    of: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Vec<PaymentRow>, DatabaseError> {
    let rows = of.query(&OF_CUSTOMER).bind(customer_id.as_uuid()).fetch_all().await?;
    rows.iter().map(PaymentRow::read).collect()
}

/// Records that a customer was erased.
pub(crate) async fn erase_customer(
    transaction: &mut Transaction,
    customer_id: CustomerId,
) -> Result<(), DatabaseError> {
    transaction.query(&ERASE_CUSTOMER).bind(customer_id.as_uuid()).execute().await?;
    Ok(())
}

/// Returns whether a customer was erased.
pub(crate) async fn is_erased(
    transaction: &mut Transaction,
    customer_id: CustomerId,
) -> Result<bool, DatabaseError> {
    Ok(transaction.query(&IS_ERASED).bind(customer_id.as_uuid()).fetch_optional().await?.is_some())
}

/// Inserts a payment.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    row: &PaymentRow,
) -> Result<(), DatabaseError> {
    let insert = transaction
        .query(&INSERT)
        .bind(row.id.as_uuid())
        .bind(row.position.cast_signed())
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind(row.invoice_id.map(InvoiceId::as_uuid))
        .bind(row.owner.as_str())
        .bind(&row.legacy_source)
        .bind(&row.legacy_id)
        .bind_json(&row.details)
        .bind(row.customer_id.map(CustomerId::as_uuid));
    insert.execute().await?;
    Ok(())
}

/// Updates the mutable columns of a payment.
pub(crate) async fn update(
    transaction: &mut Transaction,
    row: &PaymentRow,
) -> Result<(), DatabaseError> {
    let update = transaction
        .query(&UPDATE)
        .bind(row.id.as_uuid())
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind(row.invoice_id.map(InvoiceId::as_uuid))
        .bind_json(&row.details)
        .bind(row.customer_id.map(CustomerId::as_uuid));
    update.execute().await?;
    Ok(())
}
