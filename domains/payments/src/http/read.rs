//! `GET /api/v1/payments`, `…/{id}` and `…/{id}/history`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use billing_contract::InvoiceId;
use payments_contract::PaymentId;
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;
use web_api::{
    DateBound, Dates, HistoryEntry, HistoryQuery, IdOf, LegacyKey, Limit, ListCursor, NotModified,
    Owner, Page, Problem, ReadHeaders, ReadOf, ReadProblems, ReadRequest, SortedListProblems,
    ValidPath, ValidQuery,
};

use super::{Api, CATEGORY, DateSort, NO_SUCH_PAYMENT};
use crate::queries::payments::{self, PaymentFilter};
use crate::view::{PaymentStatus, PaymentView};

/// Get a payment
#[utoipa::path(
    operation_id = "get_payment", tag = "payments",
    params(ReadOf<PaymentId>),
    responses(
        (status = 200, description = "The payment", body = PaymentView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let payment = payments::find(&api.database, *id).await?;
    let payment = payment.ok_or_else(|| Problem::not_found(NO_SUCH_PAYMENT))?;
    read.found(&api.payments.environment, payment.revision, &PaymentView::from(payment))
}

/// Filters of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListPayments {
    /// Only payments in this status.
    status: Option<PaymentStatus>,
    /// Only payments for this invoice.
    #[param(value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
    /// Only payments that this system (`bascule`) or a legacy system (`legacy`) owns.
    owner: Option<Owner>,
    /// Only payments imported under this key of the legacy system, as `legacy.id` shows it.
    legacy_id: Option<LegacyKey>,
    /// Only payments requested at this time or later: a day (its start in UTC) or a timestamp. Sorts by
    /// `-requested_at` unless `sort` is given.
    requested_from: Option<DateBound>,
    /// Only payments requested before this time: a day (its start in UTC) or a timestamp. Sorts by
    /// `-requested_at` unless `sort` is given.
    requested_before: Option<DateBound>,
    /// `requested_at`: earliest first; `-requested_at`: latest first. Payments requested at the same
    /// time are sorted by id. Without `sort` and date bounds, the most recently recorded payments come
    /// first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the `Link` header of the previous page. A cursor for another sort
    /// or filter is answered with 422.
    cursor: Option<ListCursor>,
}

/// List payments
///
/// Newest first, unless `sort` is given.
#[utoipa::path(
    operation_id = "list_payments", tag = "payments",
    params(ListPayments, ReadHeaders),
    responses(
        (status = 200, description = "Payments, newest first or as sorted", body = Page<PaymentView>),
        SortedListProblems,
    ),
)]
#[get("")]
pub(super) async fn list(
    api: Data<Api>,
    query: ValidQuery<ListPayments>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.requested_from, query.requested_before);
    let wanted = read.list(&api.payments.environment, query.limit, query.cursor, dates)?;
    let filter = PaymentFilter {
        status: query.status,
        invoice_id: query.invoice_id,
        owner: query.owner,
        legacy_id: query.legacy_id.map(LegacyKey::into_inner),
    };
    let rows = payments::list(&api.database, &filter, &wanted).await?;
    let rows = rows.into_iter().map(|(key, row)| (key, PaymentView::from(row))).collect();
    Ok(read.listed(&wanted, rows))
}

/// Get the history of a payment
///
/// Its events, oldest first. Erased personal values are null.
#[utoipa::path(
    operation_id = "get_payment_history", tag = "payments",
    params(IdOf<PaymentId>, HistoryQuery),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&api.payments.environment, CATEGORY, *id, &query, &read).await
}
