//! Responses: the result of a command, resources with their entity tags, and pages of lists.

use std::borrow::Cow;
use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::Payload as Stream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, ContentType, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LINK, LOCATION,
};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use kernel::event::{Position, Revision};
use kernel::execution::{Environment, Executed};
use kernel::projection::Progress;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::conditions::{Condition, EntityTag};
use crate::consistency::{MIN_POSITION, Seen, reached_if_known};
use crate::paging::{Cursor, Page, Paging};
use crate::parameters::{invalid_header, single_header};
use crate::problem::Problem;

/// The log position of a command's events, for `Bascule-Min-Position`.
pub const BASCULE_POSITION: HeaderName = HeaderName::from_static("bascule-position");
/// Set when an earlier request with the same key executed the command.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Acknowledgement {
    /// The resource's id.
    #[schema(example = "0190c5a4-7c1b-7def-8a55-0f4a8d3e2b10")]
    pub id: Uuid,
    /// The resource's current revision, as in its entity tag.
    #[schema(value_type = u64, minimum = 0, example = 0)]
    pub revision: Revision,
}

/// The response to a command: 201 with the new resource's `Location`, or 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub(crate) status: StatusCode,
    pub(crate) acknowledgement: Acknowledgement,
    pub(crate) position: Position,
    pub(crate) event_id: Option<Uuid>,
    pub(crate) is_replay: bool,
}

impl Done {
    /// Creates the response for a resource that was created in the collection of the request path.
    pub fn created(id: Uuid, executed: Executed) -> Self {
        Self::new(StatusCode::CREATED, id, executed)
    }

    /// Creates the response for a resource that was changed, or already had the requested state.
    pub fn changed(id: Uuid, executed: Executed) -> Self {
        Self::new(StatusCode::OK, id, executed)
    }

    fn new(status: StatusCode, id: Uuid, executed: Executed) -> Self {
        // A successful command leaves at least one event.
        let revision = executed.revision.unwrap_or_default();
        let acknowledgement = Acknowledgement { id, revision };
        let Executed { position, event_id, .. } = executed;
        Self { status, acknowledgement, position, event_id, is_replay: false }
    }
}

impl Responder for Done {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let Acknowledgement { id, revision } = self.acknowledgement;
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::CREATED {
            let collection = request.path().trim_end_matches('/');
            response.insert_header((LOCATION, format!("{collection}/{id}")));
        }
        response.insert_header((ETAG, EntityTag::of_revision(revision).to_string()));
        let seen = Seen::new(self.position, self.event_id);
        response.insert_header((BASCULE_POSITION, seen.to_string()));
        if self.is_replay {
            response.insert_header((REPLAYED, "true"));
        }
        response.json(self.acknowledgement)
    }
}

/// A read request: its consistency requirement, its condition and its path. An extractor.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    min_position: Option<Seen>,
    if_none_match: Option<Condition>,
    path: String,
    query: String,
}

impl ReadRequest {
    /// Waits until a read model includes the position in `Bascule-Min-Position`.
    pub async fn wait_for(
        &self,
        environment: &Environment,
        progress: &Progress,
    ) -> Result<(), Problem> {
        match self.min_position {
            Some(seen) => reached_if_known(environment, progress, seen).await,
            None => Ok(()),
        }
    }

    /// Returns a resource at a revision: 200 with its entity tag, or 304 if the caller's
    /// representation is current. A representation may change without its revision: its data subject
    /// is erased, or another resource that it shows changes.
    pub fn found(
        &self,
        environment: &Environment,
        revision: Revision,
        resource: &impl Serialize,
    ) -> Result<HttpResponse, Problem> {
        let body = serde_json::to_string(resource).map_err(Problem::internal)?;
        let tag = EntityTag::of_representation(&environment.lookup_key, revision, &body);
        let is_known =
            self.if_none_match.as_ref().is_some_and(|known| known.is_met_weakly_by(&tag));
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header((ETAG, tag.to_string()));
        response.insert_header((CACHE_CONTROL, "private, no-cache"));
        if is_known {
            return Ok(response.finish());
        }
        Ok(response.content_type(ContentType::json()).body(body))
    }

    /// Returns a page of a list. `rows` were read as `paging` requests, each with its position.
    pub fn page<P: TryInto<Position>, T: Serialize>(
        &self,
        paging: Paging,
        rows: Vec<(P, T)>,
    ) -> HttpResponse {
        let (page, next) = paging.cut(rows);
        self.linked(&page, next.map(Cursor::to_text))
    }

    /// Returns a page with a `Link` (RFC 8288) to the page that starts at a cursor; the other
    /// parameters stay.
    pub(crate) fn linked<T: Serialize>(
        &self,
        page: &Page<T>,
        next: Option<String>,
    ) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((CACHE_CONTROL, "private, no-cache"));
        if let Some(link) = next.and_then(|next| self.next_link(&next)) {
            response.insert_header((LINK, link));
        }
        response.json(page)
    }

    fn next_link(&self, next: &str) -> Option<HeaderValue> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.parameters())
            .append_pair("cursor", next)
            .finish();
        HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", self.path)).ok()
    }

    /// Returns the path as it was sent.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the query parameters except the cursor.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes()).filter(|(name, _)| name != "cursor")
    }
}

impl FromRequest for ReadRequest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Stream) -> Self::Future {
        ready(read_request(request))
    }
}

fn read_request(request: &HttpRequest) -> Result<ReadRequest, Problem> {
    let min_position = match single_header(request.headers(), MIN_POSITION)? {
        None => None,
        Some(text) => Some(Seen::from_text(text).ok_or_else(|| {
            invalid_header(MIN_POSITION, "value", "expected the Bascule-Position of a response")
        })?),
    };
    // An invalid header cannot match the caller's copy: the full response is sent.
    let if_none_match = Condition::of(request.headers(), &IF_NONE_MATCH).ok().flatten();
    Ok(ReadRequest {
        min_position,
        if_none_match,
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
    })
}
