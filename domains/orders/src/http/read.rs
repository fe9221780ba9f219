//! `GET /api/v1/orders`, `…/{id}` and `…/{id}/history`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use customers_contract::CustomerId;
use orders_contract::OrderId;
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;
use web_api::{
    AnyCurrencyCode, DateBound, Dates, HistoryEntry, HistoryQuery, IdOf, LegacyKey, Limit,
    ListCursor, NotModified, Owner, Page, Problem, ReadHeaders, ReadOf, ReadProblems, ReadRequest,
    Sort, SortDate, SortedListProblems, ValidPath, ValidQuery,
};

use super::{CATEGORY, no_such_order};
use crate::handlers::Orders;
use crate::queries::orders::{self, OrderFilter};
use crate::view::{OrderStatus, OrderView};

/// Get an order
#[utoipa::path(
    operation_id = "get_order",
    tag = "orders",
    params(ReadOf<OrderId>),
    responses(
        (status = 200, description = "The order", body = OrderView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&orders.environment, &orders.views).await?;
    let order = orders::find(&orders.database, *id).await?.ok_or_else(no_such_order)?;
    read.found(&orders.environment, order.revision, &order)
}

/// Filter, sort and page of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListOrders {
    /// Only orders in this status.
    status: Option<OrderStatus>,
    /// Only orders of this customer.
    #[param(value_type = Option<Uuid>)]
    customer_id: Option<CustomerId>,
    /// Only orders owned by this system (`bascule`) or by a legacy system (`legacy`).
    owner: Option<Owner>,
    /// Only orders in this currency (ISO 4217 currency code).
    #[param(inline)]
    currency: Option<AnyCurrencyCode>,
    /// Only imported orders with this key in the legacy system (`legacy.id`).
    legacy_id: Option<LegacyKey>,
    /// Only orders placed at or after this time: a date (its start in UTC) or a timestamp. Sorts by
    /// `-placed_at` unless `sort` is set.
    placed_from: Option<DateBound>,
    /// Only orders placed before this time: a date (its start in UTC) or a timestamp. Sorts by `-placed_at`
    /// unless `sort` is set.
    placed_before: Option<DateBound>,
    /// `placed_at` sorts the earliest orders first, `-placed_at` the latest; orders placed at the same time are
    /// sorted by id. Without `sort` and time bounds, the orders recorded last come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the Link header of the previous page. 422 if the sort or a filter differs.
    cursor: Option<ListCursor>,
}

/// The date by which orders are sorted.
#[derive(Debug, Clone, Copy)]
struct PlacedAt;

impl SortDate for PlacedAt {
    const NAME: &'static str = "placed_at";
}

/// The sort of the list. The OpenAPI description needs a named type.
type DateSort = Sort<PlacedAt>;

/// List orders
///
/// Returns the newest orders first, unless `sort` is set.
#[utoipa::path(
    operation_id = "list_orders",
    tag = "orders",
    params(ListOrders, ReadHeaders),
    responses(
        (status = 200, description = "Orders, newest first or as sorted", body = Page<OrderView>),
        SortedListProblems,
    ),
)]
#[get("")]
pub(super) async fn list(
    orders: Data<Orders>,
    query: ValidQuery<ListOrders>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&orders.environment, &orders.views).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.placed_from, query.placed_before);
    let wanted = read.list(&orders.environment, query.limit, query.cursor, dates)?;
    let filter = OrderFilter {
        status: query.status,
        customer_id: query.customer_id,
        owner: query.owner,
        currency: query.currency.map(AnyCurrencyCode::into_inner),
        legacy_id: query.legacy_id.map(LegacyKey::into_inner),
    };
    let rows = orders::list(&orders.database, &filter, &wanted).await?;
    Ok(read.listed(&wanted, rows))
}

/// Get an order's history
///
/// Returns the order's events, oldest first. Erased personal values are null.
#[utoipa::path(
    operation_id = "get_order_history",
    tag = "orders",
    params(IdOf<OrderId>, HistoryQuery),
    responses(
        (status = 200, description = "The order's events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&orders.environment, CATEGORY, *id, &query, &read).await
}
