//! `GET /api/v1/customers`, `…/{id}` and `…/{id}/history`

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

use super::{Api, CATEGORY};
use crate::lookup::EmailKey;
use crate::queries::{self, CustomerView, Filter, Kind, Status};

/// Get a customer
#[utoipa::path(
    operation_id = "get_customer",
    tag = "customers",
    params(("id" = Uuid, Path, description = "The customer"), ReadHeaders, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The customer", body = CustomerView,
         headers(("ETag" = String, description = "Its entity tag"))),
        NotModified,
        ReadProblems,
    ),
)]
#[get("/{id}")]
pub(super) async fn get_one(
    api: Data<Api>,
    id: ValidPath<Uuid>,
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
    /// Only those that this system, or a legacy system, has the say over.
    owner: Option<Owner>,
    /// Only the one with this key in the legacy system.
    #[validate(length(min = 1, max = 200))]
    #[param(min_length = 1, max_length = 200, example = "27")]
    legacy_id: Option<String>,
    /// Most items in one answer.
    limit: Option<Limit>,
    /// Where the last answer ended: take it from its Link header.
    cursor: Option<Cursor>,
}

/// List customers
///
/// Newest first.
#[utoipa::path(
    operation_id = "list_customers",
    tag = "customers",
    params(ListCustomers, ReadHeaders),
    responses(
        (status = 200, description = "Customers, newest first", body = Page<CustomerView>,
         headers(("Link" = String, description = "The next page, when there is one"))),
        ListProblems,
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
    let paging = Paging::of(query.limit, query.cursor);
    let email = query.email.map(|email| EmailKey::all(&api.environment.lookup_key, &email));
    let filter = Filter {
        status: query.status,
        kind: query.kind,
        owner: query.owner,
        email,
        legacy_id: query.legacy_id,
    };
    let database = &api.database;
    let found = queries::list(database, &filter, paging.before(), paging.rows()).await?;
    let rows = found.into_iter().map(|customer| (customer.position, customer)).collect();
    Ok(read.page(paging, rows))
}

/// Get the history of a customer
///
/// Its events, oldest first; personal values that were erased are null.
#[utoipa::path(
    operation_id = "get_customer_history",
    tag = "customers",
    params(("id" = Uuid, Path, description = "The customer"), HistoryQuery, ReadHeaders),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>,
         headers(("Link" = String, description = "The next page, when there is one"))),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
pub(super) async fn history(
    api: Data<Api>,
    id: ValidPath<Uuid>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    http::history::of_stream(&api.environment, CATEGORY, *id, &query, &read).await
}
