//! Readable events: those of one stream, and those caused by one request.

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use chrono::{DateTime, Utc};
use kernel::event::{Position, RecordedEvent, Revision, StreamName};
use kernel::execution::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;
use validator::Validate;

use crate::answer::ReadRequest;
use crate::openapi::ListProblems;
use crate::paging::{Cursor, Limit, Page, Paging};
use crate::parameters::{ValidPath, ValidQuery};
use crate::problem::Problem;

/// An event, decoded. Personal data that was erased is null.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// The event's type: `<module>.<Event>.v<N>`.
    #[serde(rename = "type")]
    #[schema(example = "orders.OrderPlaced.v1")]
    pub event_type: String,
    /// The event's stream: `<aggregate>-<id>`.
    #[schema(example = "order-0190c5a4-7c1b-7def-8a55-0f4a8d3e2b10")]
    pub stream: String,
    /// The event's revision in the stream, from 0.
    #[schema(value_type = u64, minimum = 0)]
    pub revision: Revision,
    /// The event's position in the log, from 1.
    #[schema(value_type = u64, minimum = 1)]
    pub position: Position,
    /// The event's id.
    pub id: Uuid,
    /// When the store recorded it.
    pub recorded_at: DateTime<Utc>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The correlation id: shared by all events that follow from one request or import.
    pub correlation_id: Uuid,
    /// The id of the event that caused it; null if the request or import itself caused it.
    #[schema(required = true)]
    pub causation_id: Option<Uuid>,
    /// The actor that requested the change.
    pub actor: String,
    /// The system in which it happened.
    #[schema(example = "bascule")]
    pub origin_system: String,
    /// W3C trace context of the request that started the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub traceparent: Option<String>,
    /// The event's data; the members depend on the type.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Selects a page of a history, oldest first.
#[derive(Debug, Clone, Copy, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Maximum number of items per page.
    pub limit: Option<Limit>,
    /// Where the last page ended: the cursor in its Link header.
    pub cursor: Option<Cursor>,
}

/// Returns the events of one stream. 404 if it has none.
pub async fn of_stream(
    environment: &Environment,
    category: &'static str,
    id: impl Into<Uuid>,
    query: &HistoryQuery,
    read: &ReadRequest,
) -> Result<HttpResponse, Problem> {
    let paging = Paging::of(query.limit, query.cursor);
    let from = paging.after().map_or(0, |revision| revision + 1);
    let stream = StreamName::of(category, id);
    let events = environment.store.read_stream(&stream, from, row_count(paging)).await?;
    if from == 0 && events.is_empty() {
        return Err(Problem::not_found(format!("There is no {category} with this id.")));
    }
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        rows.push((event.revision, entry(environment, &event).await?));
    }
    Ok(read.page(paging, rows))
}

/// The routes of this file. They need `Data<Environment>` in the application.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(correlation);
}

/// Returns all events of all modules that followed from one request or import, in log order.
#[utoipa::path(
    operation_id = "get_correlation",
    tag = "correlations",
    params(("id" = Uuid, Path, description = "The correlation id of a response"), HistoryQuery),
    responses(
        (
            status = 200,
            description = "The events, oldest first; empty if there are none",
            body = Page<HistoryEntry>,
        ),
        ListProblems,
    ),
)]
#[get("/api/v1/correlations/{id}")]
async fn correlation(
    environment: Data<Environment>,
    id: ValidPath<Uuid>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    let paging = Paging::of(query.limit, query.cursor);
    let after = paging.after().unwrap_or(0);
    let events = environment.store.read_correlation(*id, after, row_count(paging)).await?;
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        rows.push((event.position, entry(&environment, &event).await?));
    }
    Ok(read.page(paging, rows))
}

fn row_count(paging: Paging) -> usize {
    usize::try_from(paging.rows()).unwrap_or(0)
}

async fn entry(environment: &Environment, event: &RecordedEvent) -> Result<HistoryEntry, Problem> {
    let data = environment.codec.readable_data(event).await?;
    let metadata = event.metadata.clone();
    Ok(HistoryEntry {
        event_type: event.event_type.to_string(),
        stream: event.stream.to_string(),
        revision: event.revision,
        position: event.position,
        id: event.id,
        recorded_at: event.recorded_at,
        occurred_at: metadata.occurred_at,
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id,
        actor: metadata.actor.to_string(),
        origin_system: metadata.origin_system.to_string(),
        traceparent: metadata.traceparent,
        data,
    })
}
