//! The statements over the module's read model. They are the same on both engines.

use billing_contract::InvoiceId;
use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Query, Row, Statement, Transaction};
use payments_contract::{PaymentId, RefundId};
use uuid::Uuid;
use web_api::{List, ListStatements, Owner, Paging, SortKey};

use crate::projections::{Details, RefundRow, RefundStatus, Status};

macro_rules! columns {
    () => {
        "SELECT id, position, requested_at, revision, status, invoice_id, customer_id, owner, \
         legacy_source, legacy_id, document FROM payment "
    };
}

/// A list. What narrows it most is stated plainly, so that its index is used.
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

/// The refunds of all payments. What narrows it is stated plainly, so that its index is used.
macro_rules! all_refunds {
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

    const BY_ID: Statement = Statement::Same(concat!(columns!(), "WHERE id = $1"));
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

    const REFUND: Statement = Statement::Same(
        "SELECT id, payment_id, position, revision, status, document FROM payment_refund \
         WHERE payment_id = $1 AND id = $2",
    );
    const REFUNDS: Statement = Statement::Same(
        "SELECT id, payment_id, position, revision, status, document FROM payment_refund \
         WHERE payment_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3",
    );
    const UPSERT_REFUND: Statement = Statement::Same(
        "INSERT INTO payment_refund (id, payment_id, position, revision, status, document) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
         revision = excluded.revision, status = excluded.status, document = excluded.document",
    );
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
    const ALL_REFUNDS: ListStatements = all_refunds!("", "position", "payment_refund_requested");
    const ALL_REFUNDS_BY_STATUS: ListStatements =
        all_refunds!("status = $1 AND", "payment_refund_status", "payment_refund_status_requested");
}

/// A payment as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRow {
    /// Its id.
    pub id: PaymentId,
    /// Where its first event stands in the log.
    pub position: u64,
    /// The last revision of its stream.
    pub revision: u64,
    /// Where it stands.
    pub status: Status,
    /// The invoice it is for, where known.
    pub invoice_id: Option<InvoiceId>,
    /// Who is to pay or paid, where known.
    pub customer_id: Option<CustomerId>,
    /// Who decides over it.
    pub owner: Owner,
    /// The legacy system it comes from.
    pub legacy_source: Option<String>,
    /// Its key there.
    pub legacy_id: Option<String>,
    /// Everything else about it.
    pub details: Details,
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

/// Which payments are wanted; `None` stands for any.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// Where they stand.
    pub status: Option<Status>,
    /// The invoice they are for.
    pub invoice_id: Option<InvoiceId>,
    /// Who decides over them.
    pub owner: Option<Owner>,
    /// Their key in the legacy system.
    pub legacy_id: Option<String>,
}

/// A payment by its id.
pub async fn by_id<'c>(
    of: impl Executor<'c>,
    id: PaymentId,
) -> Result<Option<PaymentRow>, DatabaseError> {
    let row = of.query(&BY_ID).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(PaymentRow::read).transpose()
}

/// The wanted part of a list of payments, each with its place.
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
            .bind(filter.status.map(Status::name))
            .bind(filter.owner.map(Owner::as_str))
            .bind(filter.invoice_id.map(InvoiceId::as_uuid))
            .bind(&filter.legacy_id)
    };
    list.rows(of, statements, filtered, PaymentRow::read).await
}

/// The payments of a customer.
pub(crate) async fn of_customer<'c>(
    of: impl Executor<'c>,
    customer_id: CustomerId,
) -> Result<Vec<PaymentRow>, DatabaseError> {
    let rows = of.query(&OF_CUSTOMER).bind(customer_id.as_uuid()).fetch_all().await?;
    rows.iter().map(PaymentRow::read).collect()
}

/// Remembers that a customer was erased.
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

/// Adds a payment.
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

/// Replaces what may change of a payment that is there.
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
pub(crate) async fn refund<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    id: RefundId,
) -> Result<Option<RefundRow>, DatabaseError> {
    let row =
        of.query(&REFUND).bind(payment_id.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(RefundRow::read).transpose()
}

/// Refunds of a payment, newest first.
pub(crate) async fn refunds<'c>(
    of: impl Executor<'c>,
    payment_id: PaymentId,
    paging: Paging,
) -> Result<Vec<RefundRow>, DatabaseError> {
    let page = of.query(&REFUNDS).bind(payment_id.as_uuid());
    let page = page.bind(paging.before()).bind(paging.rows());
    page.fetch_all().await?.iter().map(RefundRow::read).collect()
}

/// The wanted part of the list of all payments' refunds, each with its place.
pub(crate) async fn all_refunds<'c>(
    of: impl Executor<'c>,
    status: Option<RefundStatus>,
    list: &List,
) -> Result<Vec<(SortKey, RefundRow)>, DatabaseError> {
    let statements = if status.is_some() { &ALL_REFUNDS_BY_STATUS } else { &ALL_REFUNDS };
    let filtered = |query: Query<'c>| query.bind(status.map(RefundStatus::name));
    list.rows(of, statements, filtered, RefundRow::read).await
}

/// Adds a refund, or replaces what may change of one that is there.
pub(crate) async fn upsert_refund(
    transaction: &mut Transaction,
    row: &RefundRow,
) -> Result<(), DatabaseError> {
    let upsert = transaction
        .query(&UPSERT_REFUND)
        .bind(row.id.as_uuid())
        .bind(row.payment_id.as_uuid())
        .bind(row.position.cast_signed())
        .bind(row.revision.cast_signed())
        .bind(row.status.name())
        .bind_json(&row.details);
    upsert.execute().await?;
    Ok(())
}
