//! `GET /api/v1/billing/invoices`, `…/{id}` and `…/{id}/history`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use billing_contract::InvoiceId;
use customers_contract::CustomerId;
use orders_contract::OrderId;
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;
use web_api::{
    DateBound, Dates, HistoryEntry, HistoryQuery, IdOf, LegacyKey, Limit, Line, ListCursor,
    NotModified, Owner, Page, Problem, ReadHeaders, ReadOf, ReadProblems, ReadRequest, Sort,
    SortDate, SortedListProblems, ValidPath, ValidQuery,
};

use super::CATEGORY;
use crate::handlers::Billing;
use crate::queries::invoices::{self, InvoiceFilter};
use crate::view::{Collection, InvoiceView, Kind, Status};

/// Get an invoice or a credit note
#[utoipa::path(
    operation_id = "get_invoice",
    tag = "billing",
    params(ReadOf<InvoiceId>),
    responses(
        (status = 200, description = "The document", body = InvoiceView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    billing: Data<Billing>,
    id: ValidPath<InvoiceId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&billing.environment, &billing.views).await?;
    let invoice = invoices::find(&billing.database, *id)
        .await?
        .ok_or_else(|| Problem::not_found("There is no such invoice."))?;
    read.found(&billing.environment, invoice.revision, &invoice)
}

/// Filters of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListInvoices {
    /// Only documents in this status.
    status: Option<Status>,
    /// Only open invoices whose payment is `under_way` or `failed`. An invoice whose payment failed
    /// waits for a decision: collect it again or void it.
    collection: Option<Collection>,
    /// Only invoices, or only credit notes.
    kind: Option<Kind>,
    /// Only documents of this customer.
    #[param(value_type = Option<Uuid>)]
    customer_id: Option<CustomerId>,
    /// Only documents for this order.
    #[param(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Only documents with this number. A legacy system may use the same number for a document of its
    /// own; `owner` distinguishes them.
    #[param(inline, example = "2026-000001")]
    number: Option<Line<600>>,
    /// Only documents that this system (`bascule`) or a legacy system (`legacy`) owns.
    owner: Option<Owner>,
    /// Only documents imported under this key of the legacy system, as `legacy.id` shows it.
    legacy_id: Option<LegacyKey>,
    /// Only documents issued at this time or later: a day (its start in UTC) or a timestamp. Sorts by
    /// `-issued_at` unless `sort` is given.
    issued_from: Option<DateBound>,
    /// Only documents issued before this time: a day (its start in UTC) or a timestamp. Sorts by
    /// `-issued_at` unless `sort` is given.
    issued_before: Option<DateBound>,
    /// `issued_at`: earliest first; `-issued_at`: latest first. Documents issued at the same time are
    /// sorted by id. Without `sort` and date bounds, the most recently recorded documents come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the `Link` header of the previous page. A cursor for another sort
    /// or filter is answered with 422.
    cursor: Option<ListCursor>,
}

/// The date of a document.
#[derive(Debug, Clone, Copy)]
struct IssuedAt;

impl SortDate for IssuedAt {
    const NAME: &'static str = "issued_at";
}

/// An alias, because the OpenAPI document needs a name of its own for the type.
type DateSort = Sort<IssuedAt>;

/// List invoices and credit notes
///
/// Newest first, unless `sort` is given.
#[utoipa::path(
    operation_id = "list_invoices",
    tag = "billing",
    params(ListInvoices, ReadHeaders),
    responses(
        (status = 200, description = "Documents, newest first or as sorted", body = Page<InvoiceView>),
        SortedListProblems,
    ),
)]
#[get("")]
pub(super) async fn list(
    billing: Data<Billing>,
    query: ValidQuery<ListInvoices>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&billing.environment, &billing.views).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.issued_from, query.issued_before);
    let wanted = read.list(&billing.environment, query.limit, query.cursor, dates)?;
    let filter = InvoiceFilter {
        status: query.status,
        kind: query.kind,
        customer_id: query.customer_id,
        order_id: query.order_id,
        number: query.number.map(Line::into_inner),
        owner: query.owner,
        legacy_id: query.legacy_id.map(LegacyKey::into_inner),
        collection: query.collection,
    };
    let rows = invoices::list(&billing.database, &filter, &wanted).await?;
    Ok(read.listed(&wanted, rows))
}

/// Get the history of an invoice or credit note
///
/// Its events, oldest first. Erased personal values are null.
#[utoipa::path(
    operation_id = "get_invoice_history",
    tag = "billing",
    params(IdOf<InvoiceId>, HistoryQuery),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    billing: Data<Billing>,
    id: ValidPath<InvoiceId>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&billing.environment, CATEGORY, *id, &query, &read).await
}
