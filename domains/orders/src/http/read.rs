//! `GET /api/v1/orders…`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use http::{
    Cursor, HistoryEntry, HistoryQuery, IfNoneMatchHeader, Limit, ListProblems, NotModified, Owner,
    Page, Paging, Problem, ReadHeaders, ReadProblems, ReadRequest, ValidPath, ValidQuery,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use validator::Validate;

use super::{CATEGORY, no_such_order};
use crate::handlers::Orders;
use crate::queries::{self, OrderFilter};
use crate::view::{OrderStatus, OrderView};

/// Get an order
#[utoipa::path(
    operation_id = "get_order",
    tag = "orders",
    params(
        ("id" = Uuid, Path, description = "The order"),
        ReadHeaders, IfNoneMatchHeader
    ),
    responses(
        (status = 200, description = "The order", body = OrderView,
         headers(("ETag" = String, description = "Its entity tag"))),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    orders: Data<Orders>,
    id: ValidPath<Uuid>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&orders.environment, &orders.views).await?;
    let order = queries::order(&orders.database, *id).await?.ok_or_else(no_such_order)?;
    read.found(&orders.environment, order.revision, &order)
}

/// Filters of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListOrders {
    /// Only orders in this status.
    status: Option<OrderStatus>,
    /// Only orders of this customer.
    customer_id: Option<Uuid>,
    /// Only orders that this system decides about.
    owner: Option<Owner>,
    /// Only orders in this currency: an ISO 4217 code.
    #[validate(custom(function = "http::text::currency_form"))]
    #[param(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: Option<String>,
    /// Only the order that was imported under this id: the key there.
    #[validate(length(min = 1, max = 200), custom(function = "http::text::line"))]
    #[param(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "17"
    )]
    legacy_id: Option<String>,
    /// Most items in one answer.
    limit: Option<Limit>,
    /// Where the last answer ended: take it from its Link header.
    cursor: Option<Cursor>,
}

/// List orders
///
/// Newest first.
#[utoipa::path(
    operation_id = "list_orders",
    tag = "orders",
    params(ListOrders, ReadHeaders),
    responses(
        (status = 200, description = "Orders, newest first", body = Page<OrderView>,
         headers(("Link" = String, description = "The next page, when there is one"))),
        ListProblems,
    ),
)]
#[get("")]
pub(super) async fn list(
    orders: Data<Orders>,
    query: ValidQuery<ListOrders>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&orders.environment, &orders.views).await?;
    let paging = Paging::of(query.limit, query.cursor);
    let filter = OrderFilter {
        status: query.status,
        customer_id: query.customer_id,
        owner: query.owner,
        currency: query.currency.clone(),
        legacy_id: query.legacy_id.clone(),
    };
    let rows = queries::orders(&orders.database, &filter, paging.before(), paging.rows()).await?;
    Ok(read.page(paging, rows))
}

/// Get an order's history
///
/// Its events, oldest first.
#[utoipa::path(
    operation_id = "get_order_history",
    tag = "orders",
    params(("id" = Uuid, Path, description = "The order"), HistoryQuery),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    orders: Data<Orders>,
    id: ValidPath<Uuid>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    http::history::of_stream(&orders.environment, CATEGORY, *id, &query, &read).await
}
