//! `GET /api/v1/payments/refunds`, `…/{id}/refunds` and `…/{id}/refunds/{refund_id}`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use payments_contract::PaymentId;
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;
use web_api::{
    Cursor, DateBound, Dates, IdOf, IfNoneMatchHeader, Limit, ListCursor, NotModified, Page,
    Paging, Problem, ReadHeaders, ReadProblems, ReadRequest, SortedListProblems, ValidPath,
    ValidQuery,
};

use super::{Api, DateSort, NO_SUCH_PAYMENT, NO_SUCH_REFUND, RefundPath};
use crate::queries::{payments, refunds};
use crate::view::{RefundStatus, RefundView};

/// Get a refund
#[utoipa::path(
    operation_id = "get_refund", tag = "payments",
    params(
        IdOf<PaymentId>,
        ("refund_id" = Uuid, Path, description = "The refund"),
        ReadHeaders, IfNoneMatchHeader
    ),
    responses(
        (status = 200, description = "The refund", body = RefundView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}/refunds/{refund_id}")]
pub(super) async fn get_one(
    api: Data<Api>,
    path: ValidPath<RefundPath>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let RefundPath { id, refund_id } = *path;
    let refund = refunds::find(&api.database, id, refund_id).await?;
    let refund = refund.ok_or_else(|| Problem::not_found(NO_SUCH_REFUND))?;
    read.found(&api.payments.environment, refund.revision, &RefundView::from(refund))
}

/// Page of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRefunds {
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the `Link` header of the previous page.
    cursor: Option<Cursor>,
}

/// List the refunds of a payment
///
/// Newest first.
#[utoipa::path(
    operation_id = "list_refunds", tag = "payments",
    params(IdOf<PaymentId>, ListRefunds, ReadHeaders),
    responses(
        (status = 200, description = "Refunds, newest first", body = Page<RefundView>),
        ReadProblems,
    ),
)]
#[get("/{id}/refunds")]
pub(super) async fn of_payment(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    query: ValidQuery<ListRefunds>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    if payments::find(&api.database, *id).await?.is_none() {
        return Err(Problem::not_found(NO_SUCH_PAYMENT));
    }
    let query = query.into_inner();
    let paging = Paging::of(query.limit, query.cursor);
    let rows = refunds::of_payment(&api.database, *id, paging).await?;
    let rows = rows.into_iter().map(|row| (row.position, RefundView::from(row))).collect();
    Ok(read.page(paging, rows))
}

/// Filters of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAllRefunds {
    /// Only refunds in this status. A `failed` refund can be retried.
    status: Option<RefundStatus>,
    /// Only refunds requested at this time or later: a day (its start in UTC) or a timestamp. Sorts by
    /// `-requested_at` unless `sort` is given.
    requested_from: Option<DateBound>,
    /// Only refunds requested before this time: a day (its start in UTC) or a timestamp. Sorts by
    /// `-requested_at` unless `sort` is given.
    requested_before: Option<DateBound>,
    /// `requested_at`: earliest first; `-requested_at`: latest first. Refunds requested at the same
    /// time are sorted by id. Without `sort` and date bounds, the most recently recorded refunds come
    /// first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the `Link` header of the previous page. A cursor for another sort
    /// or filter is answered with 422.
    cursor: Option<ListCursor>,
}

/// List refunds
///
/// The refunds of all payments, newest first unless `sort` is given.
#[utoipa::path(
    operation_id = "list_all_refunds", tag = "payments",
    params(ListAllRefunds, ReadHeaders),
    responses(
        (status = 200, description = "Refunds, newest first or as sorted", body = Page<RefundView>),
        SortedListProblems,
    ),
)]
#[get("/refunds")]
pub(super) async fn list(
    api: Data<Api>,
    query: ValidQuery<ListAllRefunds>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.requested_from, query.requested_before);
    let wanted = read.list(&api.payments.environment, query.limit, query.cursor, dates)?;
    let rows = refunds::list(&api.database, query.status, &wanted).await?;
    let rows = rows.into_iter().map(|(key, row)| (key, RefundView::from(row))).collect();
    Ok(read.listed(&wanted, rows))
}
