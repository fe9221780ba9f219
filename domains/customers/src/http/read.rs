//! `GET /api/v1/customers`, `…/{id}` and `…/{id}/history`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use customers_contract::CustomerId;
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;
use web_api::{
    DateBound, Dates, HistoryEntry, HistoryQuery, IdOf, LegacyKey, Limit, ListCursor, NotModified,
    Owner, Page, Problem, ReadHeaders, ReadOf, ReadProblems, ReadRequest, Sort, SortDate,
    SortedListProblems, ValidPath, ValidQuery,
};

use super::{Api, CATEGORY};
use crate::lookup::EmailKey;
use crate::queries::{self, Filter};
use crate::view::{CustomerView, Kind, Status};

/// Get a customer
#[utoipa::path(
    operation_id = "get_customer",
    tag = "customers",
    params(ReadOf<CustomerId>),
    responses(
        (status = 200, description = "The customer", body = CustomerView),
        NotModified,
        ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    api: Data<Api>,
    id: ValidPath<CustomerId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.environment, &api.progress).await?;
    let customer = queries::find(&api.database, *id).await?;
    let customer = customer.ok_or_else(|| Problem::not_found("There is no such customer."))?;
    read.found(&api.environment, customer.revision, &customer)
}

/// Which customers to list.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCustomers {
    /// Only open, or only closed ones.
    status: Option<Status>,
    /// Only persons, or only companies.
    kind: Option<Kind>,
    /// Only those with this e-mail address, whatever its case and however its domain is written.
    #[validate(length(min = 1, max = 254))]
    #[param(min_length = 1, max_length = 254, example = "ada@exemple.fr")]
    email: Option<String>,
    /// Only customers that this system (`bascule`) or a legacy system (`legacy`) owns.
    owner: Option<Owner>,
    /// Only customers imported under this key of the legacy system, as `legacy.id` shows it.
    legacy_id: Option<LegacyKey>,
    /// Only customers registered then or later: a day (its start in UTC) or a moment. Sorts by
    /// `-registered_at` unless `sort` says otherwise.
    registered_from: Option<DateBound>,
    /// Only customers registered before then: a day (its start in UTC) or a moment. Sorts by
    /// `-registered_at` unless `sort` says otherwise.
    registered_before: Option<DateBound>,
    /// `registered_at` for the earliest first, `-registered_at` for the latest first; customers registered at
    /// the same time are in the order of their ids. Without it, and without bounds, the customers that were
    /// recorded last come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Where the last page ended: taken from its Link header. 422 when the sort or a filter is another.
    cursor: Option<ListCursor>,
}

/// The date of a customer.
#[derive(Debug, Clone, Copy)]
struct RegisteredAt;

impl SortDate for RegisteredAt {
    const NAME: &'static str = "registered_at";
}

/// A type with a name of its own, as the OpenAPI description wants it.
type DateSort = Sort<RegisteredAt>;

/// List customers
///
/// Newest first, unless `sort` says otherwise.
#[utoipa::path(
    operation_id = "list_customers",
    tag = "customers",
    params(ListCustomers, ReadHeaders),
    responses(
        (status = 200, description = "Customers, newest first or as sorted", body = Page<CustomerView>),
        SortedListProblems,
    ),
)]
#[get("")]
pub(super) async fn list(
    api: Data<Api>,
    query: ValidQuery<ListCustomers>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.environment, &api.progress).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.registered_from, query.registered_before);
    let wanted = read.list(&api.environment, query.limit, query.cursor, dates)?;
    let email = query.email.map(|email| EmailKey::of(&api.environment.lookup_key, &email));
    let filter = Filter {
        status: query.status,
        kind: query.kind,
        owner: query.owner,
        email,
        legacy_id: query.legacy_id.map(LegacyKey::into_inner),
    };
    let rows = queries::list(&api.database, &filter, &wanted).await?;
    Ok(read.listed(&wanted, rows))
}

/// Get the history of a customer
///
/// Its events, oldest first; personal values that were erased are null.
#[utoipa::path(
    operation_id = "get_customer_history",
    tag = "customers",
    params(IdOf<CustomerId>, HistoryQuery),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    api: Data<Api>,
    id: ValidPath<CustomerId>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&api.environment, CATEGORY, *id, &query, &read).await
}
