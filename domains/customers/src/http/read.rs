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
use crate::queries::directory::{self, Filter};
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
    let customer = directory::find(&api.database, *id).await?;
    let customer = customer.ok_or_else(|| Problem::not_found("There is no such customer."))?;
    read.found(&api.environment, customer.revision, &customer)
}

/// Filter, sort and page of the list.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCustomers {
    /// Only customers with this status.
    status: Option<Status>,
    /// Only customers of this kind.
    kind: Option<Kind>,
    /// Only customers with this e-mail address. Case and the spelling of an internationalised domain are
    /// ignored.
    #[validate(length(min = 1, max = 254))]
    #[param(min_length = 1, max_length = 254, example = "ada@exemple.fr")]
    email: Option<String>,
    /// Only customers owned by this system (`bascule`) or by a legacy system (`legacy`).
    owner: Option<Owner>,
    /// Only imported customers with this key in the legacy system (`legacy.id`).
    legacy_id: Option<LegacyKey>,
    /// Only customers registered at or after this time: a date (its start in UTC) or a timestamp. Sorts by
    /// `-registered_at` unless `sort` is set.
    registered_from: Option<DateBound>,
    /// Only customers registered before this time: a date (its start in UTC) or a timestamp. Sorts by
    /// `-registered_at` unless `sort` is set.
    registered_before: Option<DateBound>,
    /// `registered_at` sorts the earliest customers first, `-registered_at` the latest; customers registered at
    /// the same time are sorted by id. Without `sort` and time bounds, the customers recorded last come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Cursor of the next page, from the Link header of the previous page. 422 if the sort or a filter differs.
    cursor: Option<ListCursor>,
}

/// The date by which customers are sorted.
#[derive(Debug, Clone, Copy)]
struct RegisteredAt;

impl SortDate for RegisteredAt {
    const NAME: &'static str = "registered_at";
}

/// The sort of the list. The OpenAPI description needs a named type.
type DateSort = Sort<RegisteredAt>;

/// List customers
///
/// Returns the newest customers first, unless `sort` is set.
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
    let rows = directory::list(&api.database, &filter, &wanted).await?;
    Ok(read.listed(&wanted, rows))
}

/// Get the history of a customer
///
/// Returns the customer's events, oldest first. Erased personal values are null.
#[utoipa::path(
    operation_id = "get_customer_history",
    tag = "customers",
    params(IdOf<CustomerId>, HistoryQuery),
    responses(
        (status = 200, description = "The customer's events, oldest first", body = Page<HistoryEntry>),
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
