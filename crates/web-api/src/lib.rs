//! What the routes of all modules share: problem+json, validated JSON, idempotency, paging, entity
//! tags, the request's context, and the common parts of the OpenAPI document.
//!
//! This crate contains nothing of a single module and no business rule.
//!
//! # How a module's routes look
//!
//! A handler parses (extractors), calls, and returns a response. The whole of
//! `domains/orders/src/http/place.rs` could be:
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
//! /// A new order. (The attribute below rejects unknown fields.)
//! #[derive(Debug, Deserialize, Validate, ToSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct PlaceOrder {
//!     /// The ordering customer.
//!     customer_id: Uuid,
//!     /// ISO 4217 code. (A type of [`field`]: it parses the text and describes it in the OpenAPI document.)
//!     currency: CurrencyCode,
//!     /// The ordered lines.
//!     #[validate(length(min = 1, max = 100))]
//!     #[schema(min_items = 1, max_items = 100)]
//!     lines: Vec<NewLine>,
//! }
//!
//! /// A line of a new order. (`Serialize`: validator requires it for lists whose length it checks.)
//! #[derive(Debug, Serialize, Deserialize, ToSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct NewLine {
//!     /// The article's code: one line of text.
//!     sku: Line<64>,
//!     /// The quantity: a decimal string greater than zero.
//!     quantity: web_api::PositiveDecimal,
//!     /// Price per unit before tax.
//!     unit_price: DecimalText,
//! }
//!
//! /// The database and environment of the commands.
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
//! // POST on the collection. `create` executes the command once per Idempotency-Key; a repetition
//! // is answered from the stored outcome. `Done` sends Location, ETag and Bascule-Position, which the OpenAPI
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
//!             let id = attempt.new_id(); // derived from the key, if there is one
//!             let placed = orders.place(id, body.into_inner(), attempt.cause()).await;
//!             Ok((id, placed.map_err(problem)?))
//!         })
//!         .await
//! }
//!
//! // An action without a body. If-Match, if sent, is the revision that the caller expects.
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
//! /// Converts a refusal to a problem: `/problems/refused/<code>`, or a common one. A refusal that no route can
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
//! // GET of one resource: waits for Bascule-Min-Position, sends the ETag, answers 304 to If-None-Match.
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
//! /// Filters of the list. (No `serde(flatten)`: it would accept unknown parameters.)
//! #[derive(Debug, Deserialize, Validate, IntoParams)]
//! #[serde(deny_unknown_fields)]
//! #[into_params(parameter_in = Query)]
//! pub struct ListOrders {
//!     /// Only orders of this customer.
//!     customer_id: Option<Uuid>,
//!     /// Only orders in this state. (`inline`: schemas of parameters are not collected.)
//!     #[param(inline)]
//!     status: Option<OrderStatus>,
//!     /// Maximum number of items per page (1–200, default 50).
//!     limit: Option<Limit>,
//!     /// Where the last page ended: the cursor in its Link header.
//!     cursor: Option<Cursor>,
//! }
//!
//! // GET of the list, newest first. The query reads one row more than the limit, to determine
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
//! // A list that can also be sorted by a date: see `web_api::listing`. Its parameters are
//! // `placed_from` and `placed_before: Option<DateBound>`, `sort: Option<Sort<PlacedAt>>` (behind a
//! // type alias) and `cursor: Option<ListCursor>`; its statements are made by `list_statements!`.
//! //     let dates = Dates::of(query.sort, query.placed_from, query.placed_before);
//! //     let wanted = read.list(&orders.environment, query.limit, query.cursor, dates)?;
//! //     let rows = queries::orders(&orders.database, &filter, &wanted).await?;
//! //     Ok(read.listed(&wanted, rows))
//!
//! // The events of one order: `web_api::history` handles parameters, paging and 404.
//! #[utoipa::path(
//!     operation_id = "get_order_history", tag = "orders",
//!     params(("id" = Uuid, Path, description = "The order"), web_api::HistoryQuery),
//!     responses((status = 200, description = "The order's events, oldest first",
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
//! Before a command is refused because of a read model (an unknown customer), wait for the read
//! model with `web_api::consistency::caught_up(&environment, &progress).await?`, then query it
//! again.
//!
//! # Status codes
//!
//! | Error | Status | `type` |
//! |---|---|---|
//! | the body is not JSON | 400 | `/problems/malformed-json` |
//! | invalid parameter of path, query or header | 400 | `/problems/invalid-parameter` |
//! | fields of the body are missing, unknown, of another type or out of range | 422 | `/problems/validation` |
//! | the cursor belongs to another sort or filter | 422 | `/problems/cursor-mismatch` |
//! | the aggregate refuses the command | 409 (or 422, as the module decides) | `/problems/refused/<code>` |
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
pub use listing::{DateBound, Dates, List, ListCursor, ListStatements, Sort, SortDate, SortKey};
pub use openapi::{
    CommandHeaders, CommandOn, CommandProblems, IdOf, IfMatchHeader, IfNoneMatchHeader,
    ListProblems, NotModified, ReadHeaders, ReadOf, ReadProblems, SortedListProblems,
};
pub use paging::{Cursor, Limit, Page, Paging};
pub use parameters::{ValidPath, ValidQuery};
pub use problem::{FieldError, Problem, ProblemDocument, ProblemKind};
