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

/// The refunds of all payments. What narrows it is stated plainly, so that its index is used.
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

/// What of a refund is neither filtered nor sorted by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundDetails {
    /// What led to it.
    pub cause: RefundCause,
    /// How much; none while the rest or lines are requested and no credit note is issued.
    pub amount: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: String,
    /// The lines that were asked for.
    pub lines: Vec<RefundedLine>,
    /// The credit note that it pays out.
    pub credit_note_id: Option<InvoiceId>,
    /// The provider's own reference.
    pub reference: Option<String>,
    /// Why it failed or was refused.
    pub code: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// A refund as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRow {
    /// Its id.
    pub id: RefundId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Where its first event stands in the log.
    pub position: u64,
    /// The payment's revision at which it changed last.
    pub revision: u64,
    /// How far it is.
    pub status: RefundStatus,
    /// Everything else about it.
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

/// A refund of a payment.
pub(crate) async fn find<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    id: RefundId,
) -> Result<Option<RefundRow>, DatabaseError> {
    let row =
        of.query(&FIND).bind(payment_id.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(RefundRow::read).transpose()
}

/// Refunds of a payment, newest first.
pub(crate) async fn of_payment<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    paging: Paging,
) -> Result<Vec<RefundRow>, DatabaseError> {
    let page = of.query(&OF_PAYMENT).bind(payment_id.as_uuid());
    let page = page.bind(paging.before()).bind(paging.rows());
    page.fetch_all().await?.iter().map(RefundRow::read).collect()
}

/// The wanted part of the list of all payments' refunds, each with its place.
pub(crate) async fn list<'c>(
    of: impl Executor<'c>,
    status: Option<RefundStatus>,
    list: &List,
) -> Result<Vec<(SortKey, RefundRow)>, DatabaseError> {
    let statements = if status.is_some() { &LIST_BY_STATUS } else { &LIST };
    let filtered = |query: Query<'c>| query.bind(status.map(RefundStatus::name));
    list.rows(of, statements, filtered, RefundRow::read).await
}

/// Adds a refund, or replaces what may change of one that is there.
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
