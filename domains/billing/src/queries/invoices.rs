//! The rows of invoices and credit notes. The statements are the same on both engines.

use billing_contract::InvoiceId;
use customers_contract::CustomerId;
use database::{DatabaseError, Executor, Query, Statement, Transaction};
use kernel::event::Position;
use orders_contract::OrderId;
use web_api::{List, ListStatements, Owner, SortKey};

use crate::view::{Collection, InvoiceView, Kind, Status};

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const INSERT: Statement = Statement::Same(
        "INSERT INTO invoice_view (id, revision, kind, status, number, customer_id, owner, \
         legacy_source, legacy_id, collection, document, position) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    );
    const UPDATE: Statement = Statement::Same(
        "UPDATE invoice_view SET revision = $2, kind = $3, status = $4, number = $5, \
         customer_id = $6, owner = $7, legacy_source = $8, legacy_id = $9, collection = $10, \
         document = $11 \
         WHERE id = $1",
    );
    const FORGET_ORDERS: Statement = Statement::Same("DELETE FROM invoice_order WHERE invoice_id = $1");
    const ADD_ORDER: Statement = Statement::Same(
        "INSERT INTO invoice_order (order_id, invoice_id) VALUES ($1, $2) \
         ON CONFLICT (order_id, invoice_id) DO NOTHING",
    );
    const FIND: Statement = Statement::Same("SELECT document FROM invoice_view WHERE id = $1");
}

/// A list with all filters, of which one comes first: with `… OR $n IS NULL` alone, the engine would
/// read the whole table instead of an index.
macro_rules! invoices_by {
    ($narrowest:literal, $recorded:literal, $dated:literal) => {
        web_api::list_statements!(
            select: [
                "SELECT id, position, issued_at, document FROM invoice_view WHERE ",
                $narrowest,
                " AND (status = $1 OR $1 IS NULL) AND (kind = $2 OR $2 IS NULL) \
                 AND (customer_id = $3 OR $3 IS NULL) \
                 AND (id IN (SELECT invoice_id FROM invoice_order WHERE order_id = $4) OR $4 IS NULL) \
                 AND (number = $5 OR $5 IS NULL) AND (owner = $6 OR $6 IS NULL) \
                 AND (legacy_id = $7 OR $7 IS NULL) AND (collection = $8 OR $8 IS NULL)"
            ],
            date: "issued_at",
            end: ["$9", "$10", "$11", "$12"],
            indexes: [$recorded, $dated],
        )
    };
}

database::statements! {
    /// Every list of this file.
    pub const LISTS: [ListStatements];

    const LIST: ListStatements = invoices_by!("TRUE", "position", "invoice_view_issued");
    const LIST_BY_CUSTOMER: ListStatements =
        invoices_by!("customer_id = $3", "invoice_view_customer", "invoice_view_customer_issued");
    const LIST_BY_ORDER: ListStatements = invoices_by!(
        "id IN (SELECT invoice_id FROM invoice_order WHERE order_id = $4)",
        "invoice_order",
        "invoice_order"
    );
    const LIST_BY_NUMBER: ListStatements =
        invoices_by!("number = $5", "invoice_view_number", "invoice_view_number");
    const LIST_BY_LEGACY_ID: ListStatements =
        invoices_by!("legacy_id = $7", "invoice_view_legacy", "invoice_view_legacy");
    const LIST_BY_COLLECTION: ListStatements =
        invoices_by!("collection = $8", "invoice_view_collection", "invoice_view_collection_issued");
}

/// Filter of a list of documents; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct InvoiceFilter {
    /// Status.
    pub status: Option<Status>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Customer.
    pub customer_id: Option<CustomerId>,
    /// Order that the document covers.
    pub order_id: Option<OrderId>,
    /// Number, of the own series or of a legacy system.
    pub number: Option<String>,
    /// Owning system.
    pub owner: Option<Owner>,
    /// Key in the legacy system.
    pub legacy_id: Option<String>,
    /// State of the collection of an open invoice.
    pub collection: Option<Collection>,
}

impl InvoiceFilter {
    /// Returns the statements whose first filter leaves the fewest documents.
    fn statements(&self) -> &'static ListStatements {
        if self.legacy_id.is_some() {
            &LIST_BY_LEGACY_ID
        } else if self.number.is_some() {
            &LIST_BY_NUMBER
        } else if self.order_id.is_some() {
            &LIST_BY_ORDER
        } else if self.customer_id.is_some() {
            &LIST_BY_CUSTOMER
        } else if self.collection.is_some() {
            &LIST_BY_COLLECTION
        } else {
            &LIST
        }
    }
}

/// Inserts a document whose first event has this position in the log.
pub async fn insert(
    transaction: &mut Transaction,
    view: &InvoiceView,
    position: Position,
) -> Result<(), DatabaseError> {
    let insert = bind(transaction.query(&INSERT), view);
    insert.bind(position.cast_signed()).execute().await?;
    add_orders(transaction, view).await
}

/// Replaces the view of an existing document.
pub async fn update(
    transaction: &mut Transaction,
    view: &InvoiceView,
) -> Result<(), DatabaseError> {
    bind(transaction.query(&UPDATE), view).execute().await?;
    transaction.query(&FORGET_ORDERS).bind(view.id.as_uuid()).execute().await?;
    add_orders(transaction, view).await
}

fn bind<'c>(statement: Query<'c>, view: &InvoiceView) -> Query<'c> {
    statement
        .bind(view.id.as_uuid())
        .bind(view.revision.cast_signed())
        .bind(view.kind.as_str())
        .bind(view.status.as_str())
        .bind(&view.number)
        .bind(view.customer_id.map(CustomerId::as_uuid))
        .bind(view.owner.as_str())
        .bind(view.legacy.as_ref().map(|legacy| &legacy.source))
        .bind(view.legacy.as_ref().map(|legacy| &legacy.id))
        .bind(view.collection.map(Collection::as_str))
        .bind_json(view)
}

async fn add_orders(
    transaction: &mut Transaction,
    view: &InvoiceView,
) -> Result<(), DatabaseError> {
    for order_id in &view.order_ids {
        transaction
            .query(&ADD_ORDER)
            .bind(order_id.as_uuid())
            .bind(view.id.as_uuid())
            .execute()
            .await?;
    }
    Ok(())
}

/// Returns a document.
pub async fn find<'c>(
    of: impl Executor<'c>,
    id: InvoiceId,
) -> Result<Option<InvoiceView>, DatabaseError> {
    let row = of.query(&FIND).bind(id.as_uuid()).fetch_optional().await?;
    row.map(|row| row.json("document")).transpose()
}

/// Returns a page of documents, each with its sort key.
pub async fn list<'c>(
    of: impl Executor<'c>,
    filter: &InvoiceFilter,
    list: &List,
) -> Result<Vec<(SortKey, InvoiceView)>, DatabaseError> {
    let filtered = |query: Query<'c>| {
        query
            .bind(filter.status.map(Status::as_str))
            .bind(filter.kind.map(Kind::as_str))
            .bind(filter.customer_id.map(CustomerId::as_uuid))
            .bind(filter.order_id.map(OrderId::as_uuid))
            .bind(&filter.number)
            .bind(filter.owner.map(Owner::as_str))
            .bind(&filter.legacy_id)
            .bind(filter.collection.map(Collection::as_str))
    };
    list.rows(of, filter.statements(), filtered, |row| row.json("document")).await
}
