//! What every module's routes share: problem+json, validated JSON, idempotency, paging, entity
//! tags, the request's context, and the common parts of the OpenAPI document.
//!
//! What does not belong here: anything of one module, and any business rule.
//!
//! # How a module's routes read
//!
//! A handler parses (extractors), calls, and answers. The whole of `domains/orders/src/http.rs`
//! could be:
//!
//! ```ignore
//! use actix_web::web::Data;
//! use actix_web::{HttpResponse, get, post};
//! use web_api::{
//!     Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, CurrencyCode, Cursor,
//!     DecimalText, Done, Limit, Line, ListProblems, NoBody, NotModified, Page, Paging, Problem, ReadHeaders, ReadProblems,
//!     ReadRequest, ValidJson, ValidPath, ValidQuery,
//! };
//! use serde::{Deserialize, Serialize};
//! use utoipa::{IntoParams, ToSchema};
//! use uuid::Uuid;
//! use validator::Validate;
//!
//! /// A new order. (Unknown fields are refused because the type says so.)
//! #[derive(Debug, Deserialize, Validate, ToSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct PlaceOrder {
//!     /// The customer who orders.
//!     customer_id: Uuid,
//!     /// ISO 4217 code. (A type of [`field`]: it parses, and the OpenAPI document says what it takes.)
//!     currency: CurrencyCode,
//!     /// What is ordered.
//!     #[validate(length(min = 1, max = 100))]
//!     #[schema(min_items = 1, max_items = 100)]
//!     lines: Vec<NewLine>,
//! }
//!
//! /// A line of a new order. (`Serialize`: validator wants it of items whose number it checks.)
//! #[derive(Debug, Serialize, Deserialize, ToSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct NewLine {
//!     /// The article's code: one line of text.
//!     sku: Line<64>,
//!     /// How many: a decimal string, more than zero.
//!     quantity: web_api::PositiveDecimal,
//!     /// Price of one before tax.
//!     unit_price: DecimalText,
//! }
//!
//! /// What the commands are carried out with.
//! impl web_api::CarriesOut for Orders {
//!     const CATEGORY: &'static str = "order";
//!     fn database(&self) -> &database::Database {
//!         &self.database
//!     }
//!     fn environment(&self) -> &kernel::execution::Environment {
//!         &self.environment
//!     }
//! }
//!
//! // POST on the collection. `create` carries the command out once per Idempotency-Key; a repetition
//! // is answered from what was kept. `Done` sends Location, ETag and Bascule-Position, which the OpenAPI
//! // document therefore has beside every acknowledgement.
//! #[utoipa::path(
//!     operation_id = "place_order", tag = "orders", params(CommandHeaders),
//!     request_body = PlaceOrder,
//!     responses(
//!         (status = 201, description = "The order was placed", body = Acknowledgement),
//!         CommandProblems,
//!     ),
//! )]
//! #[post("")]
//! async fn place(
//!     orders: Data<Orders>,
//!     command: CommandRequest,
//!     body: ValidJson<PlaceOrder>,
//! ) -> Result<Done, Problem> {
//!     command
//!         .create(&**orders, body.payload(), async |attempt| {
//!             let id = attempt.new_id(); // derived from the key, when there is one
//!             let placed = orders.place(id, body.into_inner(), attempt.cause()).await;
//!             Ok((id, placed.map_err(problem)?))
//!         })
//!         .await
//! }
//!
//! // An action without a body. If-Match, when sent, is the revision the caller expects.
//! #[utoipa::path(
//!     operation_id = "confirm_order", tag = "orders",
//!     params(("id" = Uuid, Path, description = "The order"), CommandHeaders, web_api::IfMatchHeader),
//!     responses((status = 200, description = "Confirmed", body = Acknowledgement), CommandProblems),
//! )]
//! #[post("/{id}/confirm")]
//! async fn confirm(
//!     orders: Data<Orders>,
//!     id: ValidPath<Uuid>,
//!     command: CommandRequest,
//!     body: NoBody,
//! ) -> Result<Done, Problem> {
//!     command
//!         .change(&**orders, *id, body.payload(), async |attempt, expected| {
//!             orders.confirm(*id, attempt.cause(), expected).await.map_err(problem)
//!         })
//!         .await
//! }
//!
//! /// Says a refusal as a problem: `/problems/refused/<code>`, or a common one. One that no route can
//! /// provoke is a defect: `Problem::unexpected_refusal`.
//! fn problem(error: kernel::execution::ExecuteError<Refusal>) -> Problem {
//!     Problem::from_execute(error, |refusal| match refusal {
//!         Refusal::NoSuchOrder => Problem::not_found("There is no such order."),
//!         Refusal::OwnedByLegacy => Problem::owned_by_legacy(refusal.to_string()),
//!         Refusal::AlreadyCancelled => Problem::refused("already-cancelled", refusal.to_string()),
//!         Refusal::UnknownCustomer => Problem::refused("unknown-customer", refusal.to_string())
//!             .with_status(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY),
//!     })
//! }
//!
//! // GET of one: waits for Bascule-Min-Position, sends the ETag, answers 304 to If-None-Match.
//! #[utoipa::path(
//!     operation_id = "get_order", tag = "orders",
//!     params(("id" = Uuid, Path, description = "The order"), ReadHeaders, web_api::IfNoneMatchHeader),
//!     responses(
//!         (status = 200, description = "The order", body = OrderView),
//!         NotModified, ReadProblems,
//!     ),
//! )]
//! #[get("/{id}")]
//! async fn get_one(
//!     orders: Data<Orders>,
//!     id: ValidPath<Uuid>,
//!     read: ReadRequest,
//! ) -> Result<HttpResponse, Problem> {
//!     read.wait_for(&orders.environment, &orders.progress).await?;
//!     let order = queries::order(&orders.database, *id).await?; // DatabaseError → Problem
//!     let order = order.ok_or_else(|| Problem::not_found("There is no such order."))?;
//!     read.found(&orders.environment, order.revision, &OrderView::from(order))
//! }
//!
//! /// Filters of the list. (No `serde(flatten)`: it would let unknown parameters through.)
//! #[derive(Debug, Deserialize, Validate, IntoParams)]
//! #[serde(deny_unknown_fields)]
//! #[into_params(parameter_in = Query)]
//! pub struct ListOrders {
//!     /// Only orders of this customer.
//!     customer_id: Option<Uuid>,
//!     /// Only orders in this state. (`inline`: schemas of parameters are not collected.)
//!     #[param(inline)]
//!     status: Option<OrderStatus>,
//!     /// Most items in one answer.
//!     limit: Option<Limit>,
//!     /// Where the last answer ended: take it from its Link header.
//!     cursor: Option<Cursor>,
//! }
//!
//! // GET of the list, newest first. The query asks for one row more than the limit, to know
//! // whether there is a next page: `WHERE position < $1 ORDER BY position DESC LIMIT $2`.
//! #[utoipa::path(
//!     operation_id = "list_orders", tag = "orders", params(ListOrders, ReadHeaders),
//!     responses(
//!         (status = 200, description = "Orders, newest first", body = Page<OrderView>),
//!         ListProblems,
//!     ),
//! )]
//! #[get("")]
//! async fn list(
//!     orders: Data<Orders>,
//!     query: ValidQuery<ListOrders>,
//!     read: ReadRequest,
//! ) -> Result<HttpResponse, Problem> {
//!     read.wait_for(&orders.environment, &orders.progress).await?;
//!     let paging = Paging::of(query.limit, query.cursor);
//!     // bind(paging.before()) and bind(paging.rows()); each row comes with its position
//!     let rows: Vec<(i64, OrderView)> = queries::orders(&orders.database, &query, paging).await?;
//!     Ok(read.page(paging, rows))
//! }
//!
//! // A list that is sorted by a date as well: see `web_api::listing`. Its parameters are
//! // `placed_from` and `placed_before: Option<DateBound>`, `sort: Option<Sort<PlacedAt>>` (behind a
//! // type alias) and `cursor: Option<ListCursor>`; its statements are made by `list_statements!`.
//! //     let dates = Dates::of(query.sort, query.placed_from, query.placed_before);
//! //     let wanted = read.list(&orders.environment, query.limit, query.cursor, dates)?;
//! //     let rows = queries::orders(&orders.database, &filter, &wanted).await?;
//! //     Ok(read.listed(&wanted, rows))
//!
//! // The events of one order: parameters, paging and 404 are done by `web_api::history`.
//! #[utoipa::path(
//!     operation_id = "get_order_history", tag = "orders",
//!     params(("id" = Uuid, Path, description = "The order"), web_api::HistoryQuery),
//!     responses((status = 200, description = "Its events, oldest first",
//!                body = Page<web_api::HistoryEntry>), ReadProblems),
//! )]
//! #[get("/{id}/history")]
//! async fn history(
//!     orders: Data<Orders>,
//!     id: ValidPath<Uuid>,
//!     query: ValidQuery<web_api::HistoryQuery>,
//!     read: ReadRequest,
//! ) -> Result<HttpResponse, Problem> {
//!     web_api::history::of_stream(&orders.environment, CATEGORY, *id, &query, &read).await
//! }
//!
//! // In `Module::configure`: `/api/v1/orders` is the scope, the handlers' paths are within it.
//! fn configure(orders: Data<Orders>) -> web_api::Configure {
//!     std::sync::Arc::new(move |config| {
//!         config.service(
//!             utoipa_actix_web::scope("/api/v1/orders")
//!                 .app_data(orders.clone())
//!                 .service(place)
//!                 .service(list)
//!                 .service(history)
//!                 .service(confirm)
//!                 .service(get_one),
//!         );
//!     })
//! }
//! ```
//!
//! Before a command is refused because of a read model (an unknown customer), wait for it:
//! `web_api::consistency::caught_up(&environment, &progress).await?`, then look again.
//!
//! # Which status
//!
//! | What is wrong | Status | `type` |
//! |---|---|---|
//! | the body is no JSON | 400 | `/problems/malformed-json` |
//! | a parameter of path, query or header | 400 | `/problems/invalid-parameter` |
//! | fields of the body: missing, unknown, of another type, out of range | 422 | `/problems/validation` |
//! | a cursor of another sort or filter | 422 | `/problems/cursor-mismatch` |
//! | the aggregate says no | 409 (or 422, as the module says) | `/problems/refused/<code>` |
//!
//! The others are in [`ProblemKind`].

pub mod answer;
pub mod app;
mod body;
mod conditions;
pub mod consistency;
pub mod context;
pub mod decimal;
pub mod field;
pub mod forwarding;
pub mod history;
pub mod hosts;
pub mod idempotency;
pub mod json;
mod legacy;
mod line;
pub mod listing;
pub mod openapi;
pub mod paging;
pub mod parameters;
pub mod problem;
mod validation;

pub use answer::{Acknowledgement, Done, ReadRequest};
pub use app::finish;
pub use body::BodyLimit;
pub use context::RequestContext;
pub use decimal::{DecimalText, NonNegativeDecimal, Percentage, PositiveDecimal};
pub use field::{
    AnyCurrencyCode, CountryCode, CurrencyCode, Email, Line, PaymentMethod, Telephone, VatNumber,
};
pub use forwarding::{Forwarding, forward};
pub use history::{HistoryEntry, HistoryQuery};
pub use hosts::{HostName, Hosts};
pub use idempotency::{Attempt, CarriesOut, CommandRequest};
pub use json::{NoBody, Payload, ValidJson, not_null};
pub use legacy::{Legacy, LegacyKey, Owner};
pub use line::QuantityOfLine;
pub use listing::{DateBound, Dates, List, ListCursor, ListStatements, Place, Sort, SortDate};
pub use openapi::{
    CommandHeaders, CommandOn, CommandProblems, IdOf, IfMatchHeader, IfNoneMatchHeader,
    ListProblems, NotModified, ReadHeaders, ReadOf, ReadProblems, SortedListProblems,
};
pub use paging::{Cursor, Limit, Page, Paging};
pub use parameters::{ValidPath, ValidQuery};
pub use problem::{FieldError, Problem, ProblemDocument, ProblemKind};
