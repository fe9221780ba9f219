//! The rows of refunds. The statements are the same on both engines.

use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use database::{DatabaseError, Executor, Query, Row, Statement, Transaction};
use payments_contract::{PaymentId, RefundId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web_api::{List, ListStatements, Paging, SortKey};

use crate::view::{RefundCause, RefundStatus, RefundedLine};

/// A list of the refunds of all payments, whose filter is stated plainly, so that the engine uses its
/// index.
macro_rules! list {
    ($narrowed_by:literal, $recorded:literal, $dated:literal) => {
        web_api::list_statements!(
            select: [
                "SELECT id, payment_id, position, requested_at, revision, status, document \
                 FROM payment_refund WHERE ",
                $narrowed_by,
                " (status = $1 OR $1 IS NULL)"
            ],
            date: "requested_at",
            end: ["$2", "$3", "$4", "$5"],
            indexes: [$recorded, $dated],
        )
    };
}

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const FIND: Statement = Statement::Same(
        "SELECT id, payment_id, position, revision, status, document FROM payment_refund \
         WHERE payment_id = $1 AND id = $2",
    );
    const OF_PAYMENT: Statement = Statement::Same(
        "SELECT id, payment_id, position, revision, status, document FROM payment_refund \
         WHERE payment_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3",
    );
    const UPSERT: Statement = Statement::Same(
        "INSERT INTO payment_refund (id, payment_id, position, revision, status, document) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
         revision = excluded.revision, status = excluded.status, document = excluded.document",
    );
}

database::statements! {
    /// Every list of this file.
    pub const LISTS: [ListStatements];

    const LIST: ListStatements = list!("", "position", "payment_refund_requested");
    const LIST_BY_STATUS: ListStatements =
        list!("status = $1 AND", "payment_refund_status", "payment_refund_status_requested");
}

/// The fields of a refund that no filter or sort uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundDetails {
    /// Cause of the refund.
    pub cause: RefundCause,
    /// Amount; absent while a refund of the rest or of lines has no credit note.
    pub amount: Option<Decimal>,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Requested lines.
    pub lines: Vec<RefundedLine>,
    /// Credit note that the refund pays out.
    pub credit_note_id: Option<InvoiceId>,
    /// The provider's reference of the refund.
    pub reference: Option<String>,
    /// Code of the reason why the refund failed or was refused.
    pub code: Option<String>,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
}

/// A row of the read model of refunds.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRow {
    /// Id of the refund.
    pub id: RefundId,
    /// Refunded payment.
    pub payment_id: PaymentId,
    /// Position of the refund's first event in the log.
    pub position: u64,
    /// Revision of the payment at which the refund last changed.
    pub revision: u64,
    /// Status of the refund.
    pub status: RefundStatus,
    /// Fields without a column.
    pub details: RefundDetails,
}

impl RefundRow {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get::<Uuid>("id")?.into(),
            payment_id: row.get::<Uuid>("payment_id")?.into(),
            position: row.get::<i64>("position")?.cast_unsigned(),
            revision: row.get::<i64>("revision")?.cast_unsigned(),
            status: row.name("status")?,
            details: row.json("document")?,
        })
    }
}

/// Returns a refund of a payment.
pub(crate) async fn find<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    id: RefundId,
) -> Result<Option<RefundRow>, DatabaseError> {
    let row =
        of.query(&FIND).bind(payment_id.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(RefundRow::read).transpose()
}

/// Returns a page of the refunds of a payment, newest first.
pub(crate) async fn of_payment<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    paging: Paging,
) -> Result<Vec<RefundRow>, DatabaseError> {
    let page = of.query(&OF_PAYMENT).bind(payment_id.as_uuid());
    let page = page.bind(paging.before()).bind(paging.rows());
    page.fetch_all().await?.iter().map(RefundRow::read).collect()
}

/// Returns a page of the refunds of all payments, each with its sort key.
pub(crate) async fn list<'c>(
    of: impl Executor<'c>,
    status: Option<RefundStatus>,
    list: &List,
) -> Result<Vec<(SortKey, RefundRow)>, DatabaseError> {
    let statements = if status.is_some() { &LIST_BY_STATUS } else { &LIST };
    let filtered = |query: Query<'c>| query.bind(status.map(RefundStatus::name));
    list.rows(of, statements, filtered, RefundRow::read).await
}

/// Inserts a refund, or updates the mutable columns of an existing one.
pub(crate) async fn upsert(
    transaction: &mut Transaction,
    row: &RefundRow,
) -> Result<(), DatabaseError> {
    let upsert = transaction
        .query(&UPSERT)
        .bind(row.id.as_uuid())
        .bind(row.payment_id.as_uuid())
        .bind(row.position.cast_signed())
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind_json(&row.details);
    upsert.execute().await?;
    Ok(())
}
