//! `/admin/modules/{module}/…`: handing a module over to another service, step by step. `bascule
//! extract` takes the steps; each can be repeated.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use database::{Charge, ChargeError, Database, HandOver, HandedOver};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use validator::Validate;
use web_api::forwarding::service;
use web_api::idempotency::{self, KeptRequest, TakeError};
use web_api::{FieldError, Limit, Line, Page, Paging, Problem, ValidJson, ValidPath, ValidQuery};

use super::{Admin, Running};

/// What digests of lookups are compared with.
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

/// Who is in charge of a module, and whether it could be handed over to or from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The module.
    pub module: String,
    /// The log that it reads and writes.
    pub log_id: Uuid,
    /// A digest of a known text under the key that keys of requests are digested with: two services
    /// that have different ones do not recognise each other's.
    pub lookup: String,
    /// Where the log ends.
    pub head: u64,
    /// How far its read models are here: the one that is furthest behind.
    pub projected: u64,
    /// Who is in charge.
    pub charge: Charge,
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
        charge: database.charge().await?,
    }))
}

/// To whom a module is given.
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
    let handed = database.hand_over(&body.to).await.map_err(charge_problem)?;
    tracing::info!(module = &**module, to = &**body.to, epoch = handed.epoch, "handed over");
    Ok(HttpResponse::Ok().json(handed))
}

/// What is taken over: a [`HandOver`].
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
                "The checkpoint of {} is of another log, or of a later state of this one: both \
                 services must work on the same event store.",
                one.subscription
            );
            return Err(Problem::refused("another-log", detail));
        }
    }
    let taken = database.take_over(&handed).await.map_err(charge_problem)?;
    tracing::info!(module = &**module, epoch = handed.epoch, taken, "taken over");
    Ok(HttpResponse::Ok().json(json!({ "taken": taken })))
}

/// Which kept requests are wanted.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct RequestsQuery {
    /// The key that the last answer ended with.
    after: Option<String>,
    /// Most items in one answer.
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

/// Kept requests.
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

/// A service that requests may go to.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Candidate {
    /// Scheme, host and port.
    to: String,
}

/// Whether an API answers there, as seen from here.
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

/// Where requests go.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Target {
    /// Scheme, host and port of a service; null to answer here.
    to: Option<String>,
    /// The hand-over that wants it so.
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
    database.set_route(to, body.epoch).await.map_err(charge_problem)?;
    Ok(HttpResponse::NoContent().finish())
}

fn database<'r>(running: &'r Running, module: &str) -> Result<&'r Database, Problem> {
    let database = running.catalogue.database(module);
    database.ok_or_else(|| {
        let modules = &running.modules;
        Problem::not_found(if modules.contains(&module) {
            format!(
                "The module {module} does not run here: --modules leaves it out, or [modules.{module}] \
                 remote, which has to be taken out of the configuration first."
            )
        } else {
            format!("There is no module {module}; the modules are {}.", modules.join(", "))
        })
    })
}

fn charge_problem(error: ChargeError) -> Problem {
    match error {
        ChargeError::Database(error) => error.into(),
        error @ ChargeError::Elsewhere { .. } => Problem::refused("elsewhere", error.to_string()),
        error @ ChargeError::OutOfDate { .. } => Problem::refused("out-of-date", error.to_string()),
        error @ ChargeError::InUse { .. } => Problem::refused("in-use", error.to_string()),
    }
}
