//! `POST /admin/customers/{id}/erase`: erases a customer and reports the progress.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use chrono::NaiveDate;
use kernel::event::Position;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;
use web_api::{Problem, RequestContext, ValidPath};

use super::Admin;
use super::subscriptions::checkpoint_problem;
use crate::system::erasure::{self, StepError};
use crate::system::participants::ERASING;

/// Maximum time that the answer waits for the modules' steps.
const PATIENCE: Duration = Duration::from_secs(30);

/// Progress of an erasure.
#[derive(Debug, Serialize)]
struct ErasureProgress {
    customer_id: Uuid,
    /// Position of the erasure event in the log.
    position: Position,
    /// Whether all steps are done.
    complete: bool,
    /// Subscriptions with outstanding steps.
    pending: Vec<&'static str>,
    /// Subscriptions that parked the erasure because they failed to handle it: they need a replay.
    parked: Vec<String>,
    /// Modules that do not run in this process, whose progress is unknown here: send the request to the
    /// processes that run them.
    not_run_here: Vec<&'static str>,
    /// Last day of the legal retention of the customer's documents and of the name and address on
    /// them; null if nothing is retained. Absent if billing does not run in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents_retained_until: Option<Option<NaiveDate>>,
}

/// Erases a customer: 200 if all steps are done, 202 while steps are outstanding. Repeating the
/// request returns the current progress.
#[post("/customers/{id}/erase")]
pub async fn erase(
    admin: Data<Admin>,
    id: ValidPath<Uuid>,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let (customer_id, environment) = (*id, &running.environment);
    let erasing = &running.erasing;
    if let Some(decides) = &erasing.decides {
        decides.erase(customer_id, &context.cause()).await?;
    }
    let position = erasure::erased_at(environment, customer_id.into()).await?;
    let position = position.ok_or_else(|| match erasing.decides {
        Some(_) => Problem::unavailable("The store was replaced."),
        None => Problem::not_found(
            "The customer is not erased: first send this request to the process that runs the module customers, then repeat it here for the progress.",
        ),
    })?;
    let deadline = Instant::now() + PATIENCE;
    let log = &*environment.store;
    let steps = ERASING.into_iter().filter_map(|module| erasing.step(module, position));
    let waited = erasure::not_taken(log, steps.collect(), deadline).await;
    let mut pending = waited.map_err(step_problem)?;
    let mut parked = Vec::new();
    for database in running.catalogue.databases() {
        let found = erasure::parked_by(database, position).await;
        parked.extend(found.map_err(checkpoint_problem)?);
    }
    let mut documents_retained_until = None;
    for follows in &erasing.follows {
        let Some(retains) = &follows.retains else { continue };
        let retained = retains.retained(customer_id).await?;
        documents_retained_until = Some(retained.documents_until);
        // The end of the retention is a separate event with its own step.
        let Some(position) = retained.ended_at else { continue };
        if let Some(step) = erasing.step(follows.module, position) {
            let waited = erasure::not_taken(log, vec![step], deadline).await;
            pending.extend(waited.map_err(step_problem)?);
            let found = erasure::parked_by(&follows.database, position).await;
            parked.extend(found.map_err(checkpoint_problem)?);
        }
    }
    pending.dedup();
    // A module that was handed over also has tables in the other service.
    let mut not_run_here = Vec::new();
    for module in ERASING {
        let is_here = match running.catalogue.database(module) {
            Some(database) => database.placement().await?.elsewhere.is_none(),
            None => false,
        };
        if !is_here {
            not_run_here.push(module);
        }
    }
    let complete = pending.is_empty() && parked.is_empty() && not_run_here.is_empty();
    let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(HttpResponse::build(status).json(ErasureProgress {
        customer_id,
        position,
        complete,
        pending,
        parked,
        not_run_here,
        documents_retained_until,
    }))
}

fn step_problem(error: StepError) -> Problem {
    match error {
        StepError::Read(error) => error.into(),
        StepError::Checkpoint(error) => checkpoint_problem(error),
    }
}
