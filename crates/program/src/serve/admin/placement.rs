//! `/admin/modules/{module}/…`: the steps of a hand-over of a module to another service. `bascule
//! extract` takes the steps; each is idempotent.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use database::{Database, HandOver, HandOverError, HandedOver, Placement};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use validator::Validate;
use web_api::forwarding::service;
use web_api::idempotency::{self, KeptRequest, TakeError};
use web_api::{FieldError, Limit, Line, Page, Paging, Problem, ValidJson, ValidPath, ValidQuery};

use super::{Admin, Running};

/// Text whose digest shows whether two services have the same lookup key.
const KNOWN_TEXT: &str = "bascule";

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/modules/{module}/charge", web::get().to(show))
        .route("/modules/{module}/hand-over", web::post().to(hand_over))
        .route("/modules/{module}/take-over", web::post().to(take_over))
        .route("/modules/{module}/requests", web::get().to(requests))
        .route("/modules/{module}/requests", web::post().to(take_requests))
        .route("/modules/{module}/reach", web::post().to(reach))
        .route("/modules/{module}/route", web::put().to(route));
}

/// The state of a module in this process, as far as a hand-over depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Name of the module.
    pub module: String,
    /// Id of the log that the module reads and writes.
    pub log_id: Uuid,
    /// Digest of a known text under the key for digests of idempotency keys. Services with different
    /// digests do not recognise each other's requests.
    pub lookup: String,
    /// Position of the end of the log.
    pub head: u64,
    /// Position of the module's slowest read model in this process.
    pub projected: u64,
    /// The process in charge of the module.
    pub charge: Placement,
}

async fn show(admin: Data<Admin>, module: ValidPath<String>) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let database = database(running, &module)?;
    let environment = &running.environment;
    let projections = running.projections.iter();
    let of_module = projections.filter(|(name, _)| name.split('.').next() == Some(&*module));
    let head = environment.store.head().await?;
    Ok(HttpResponse::Ok().json(Standing {
        module: module.to_string(),
        log_id: environment.store.log_id(),
        lookup: hex::encode(environment.lookup_key.digest("hand-over", KNOWN_TEXT)),
        head,
        projected: of_module.map(|(_, progress)| progress.position()).min().unwrap_or(head),
        charge: database.placement().await?,
    }))
}

/// The receiver of a module.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Recipient {
    /// What people know it by.
    to: Line<200>,
}

async fn hand_over(
    admin: Data<Admin>,
    module: ValidPath<String>,
    body: ValidJson<Recipient>,
) -> Result<HttpResponse, Problem> {
    let database = database(admin.running()?, &module)?;
    let handed = database.hand_over(&body.to).await.map_err(hand_over_problem)?;
    tracing::info!(module = &**module, to = &**body.to, epoch = handed.epoch, "handed over");
    Ok(HttpResponse::Ok().json(handed))
}

/// The body of a take-over: a [`HandOver`].
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Handed {
    epoch: u64,
    subscriptions: Vec<HandedOver>,
}

async fn take_over(
    admin: Data<Admin>,
    module: ValidPath<String>,
    body: ValidJson<Handed>,
) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let database = database(running, &module)?;
    let Handed { epoch, subscriptions } = body.into_inner();
    let handed = HandOver { epoch, subscriptions };
    for one in &handed.subscriptions {
        if !one.checkpoint.is_of(&*running.environment.store).await? {
            let detail = format!(
                "The checkpoint of {} belongs to another log, or to a later state of this log: both \
                 services must use the same event store.",
                one.subscription
            );
            return Err(Problem::refused("another-log", detail));
        }
    }
    let taken = database.take_over(&handed).await.map_err(hand_over_problem)?;
    tracing::info!(module = &**module, epoch = handed.epoch, taken, "taken over");
    Ok(HttpResponse::Ok().json(json!({ "taken": taken })))
}

/// Selects stored requests.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct RequestsQuery {
    /// Key of the last item of the previous page.
    after: Option<String>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
}

async fn requests(
    admin: Data<Admin>,
    module: ValidPath<String>,
    query: ValidQuery<RequestsQuery>,
) -> Result<HttpResponse, Problem> {
    let database = database(admin.running()?, &module)?;
    let after = hex::decode(query.after.as_deref().unwrap_or_default()).map_err(|_| {
        let expected = "expected the `key` of the last item, in hexadecimal digits";
        Problem::invalid_parameter(FieldError::new("after", "value", expected))
    })?;
    let limit = u16::try_from(Paging::of(query.limit, None).rows() - 1).unwrap_or(u16::MAX);
    let items = idempotency::kept_after(database, &after, limit).await?;
    Ok(HttpResponse::Ok().json(Page { items }))
}

/// Stored requests.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Requests {
    items: Vec<KeptRequest>,
}

async fn take_requests(
    admin: Data<Admin>,
    module: ValidPath<String>,
    body: ValidJson<Requests>,
) -> Result<HttpResponse, Problem> {
    let database = database(admin.running()?, &module)?;
    match idempotency::take(database, &body.items).await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(TakeError::Database(error)) => Err(error.into()),
        Err(error @ TakeError::NoDigest(_)) => {
            Err(Problem::invalid_field("items", "value", error.to_string()))
        }
    }
}

/// A service that could receive the module's requests.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Candidate {
    /// URL of the service: scheme, host and port.
    to: String,
}

/// Checks that this process can reach the API of the service.
async fn reach(
    admin: Data<Admin>,
    module: ValidPath<String>,
    body: ValidJson<Candidate>,
) -> Result<HttpResponse, Problem> {
    database(admin.running()?, &module)?;
    let to = service(&body.to)
        .map_err(|error| Problem::invalid_field("to", "value", error.to_string()))?;
    let reached = web_api::forwarding::reach(&to).await;
    reached.map_err(|error| Problem::refused("unreachable", error.to_string()))?;
    Ok(HttpResponse::NoContent().finish())
}

/// The route of a module's requests.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Target {
    /// URL of a service (scheme, host and port); null if this process answers.
    to: Option<String>,
    /// Number of the hand-over that sets the route.
    epoch: u64,
}

async fn route(
    admin: Data<Admin>,
    module: ValidPath<String>,
    body: ValidJson<Target>,
) -> Result<HttpResponse, Problem> {
    let database = database(admin.running()?, &module)?;
    let to = body.to.as_deref();
    if let Some(Err(error)) = to.map(service) {
        return Err(Problem::invalid_field("to", "value", error.to_string()));
    }
    database.set_route(to, body.epoch).await.map_err(hand_over_problem)?;
    Ok(HttpResponse::NoContent().finish())
}

fn database<'r>(running: &'r Running, module: &str) -> Result<&'r Database, Problem> {
    let database = running.catalogue.database(module);
    database.ok_or_else(|| {
        let modules = &running.modules;
        Problem::not_found(if modules.contains(&module) {
            format!(
                "The module {module} does not run in this process: --modules excludes it, or \
                 [modules.{module}] remote is set and must be removed from the configuration first."
            )
        } else {
            format!("There is no module {module}; the modules are {}.", modules.join(", "))
        })
    })
}

fn hand_over_problem(error: HandOverError) -> Problem {
    match error {
        HandOverError::Database(error) => error.into(),
        error @ HandOverError::Elsewhere { .. } => Problem::refused("elsewhere", error.to_string()),
        error @ HandOverError::OutOfDate { .. } => {
            Problem::refused("out-of-date", error.to_string())
        }
        error @ HandOverError::InUse { .. } => Problem::refused("in-use", error.to_string()),
    }
}
