//! `POST /admin/customers/{id}/erase`

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use chrono::NaiveDate;
use customers::domain::Refusal;
use customers::handlers::Customers;
use http::{Problem, RequestContext, ValidPath};
use kernel::event::Position;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::subscriptions::checkpoint_problem;
use super::{Admin, Running};
use crate::erasure::{self, Step, StepError};

/// How long the answer waits for everything that follows.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an erasure.
#[derive(Debug, Serialize)]
struct Erasure {
    customer_id: Uuid,
    /// Where the decision stands in the log.
    position: Position,
    /// Whether everything that follows from it is done.
    complete: bool,
    /// What is not done yet: the subscriptions that will do it.
    pending: Vec<&'static str>,
    /// What will not be done by itself: the subscriptions that have set the erasure aside as an event
    /// they cannot handle.
    parked: Vec<String>,
    /// The modules that do not run here, of which it is not known whether they are done: ask where they
    /// run.
    not_run_here: Vec<&'static str>,
    /// The last day on which the law has the customer's documents kept, with the name and the address
    /// on them; null when nothing is kept. Absent where billing does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents_retained_until: Option<Option<NaiveDate>>,
}

/// Erases a customer: 200 when everything is done, 202 while something is under way. Asking again
/// tells how far it is.
#[post("/customers/{id}/erase")]
pub async fn erase(
    admin: Data<Admin>,
    id: ValidPath<Uuid>,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let (customer_id, environment) = (*id, &running.environment);
    let customers = Customers::new(environment.clone());
    customers.erase(customer_id, &context.cause()).await.map_err(|error| {
        Problem::from_execute(error, |refusal| match refusal {
            Refusal::NoSuchCustomer => Problem::not_found("There is no such customer."),
            refusal => Problem::internal(refusal),
        })
    })?;
    let position = customers::erasure::erased_at(environment, customer_id).await?;
    let position = position.ok_or_else(|| Problem::unavailable("The store was replaced."))?;
    let deadline = Instant::now() + PATIENCE;
    let log = &*environment.store;
    let mut pending =
        erasure::not_taken(log, steps(running, position), deadline).await.map_err(step_problem)?;
    let mut parked = Vec::new();
    for database in running.catalogue.databases() {
        let found = erasure::parked_by(database, position).await;
        parked.extend(found.map_err(checkpoint_problem)?);
    }
    let mut documents_retained_until = None;
    if let Some(database) = running.catalogue.database(billing::NAME) {
        let settings = &running.billing;
        let retained = billing::retention::retained(database, settings, customer_id).await?;
        documents_retained_until = Some(retained);
        // Nothing is retained, or no longer: that is an event of its own, and has its own step.
        let ended_at = billing::retention::ended_at(environment, customer_id);
        if let Some(position) = ended_at.await? {
            let step = Step { subscription: billing::retention::ERASURE, database, position };
            let waited = erasure::not_taken(log, vec![step], deadline).await;
            pending.extend(waited.map_err(step_problem)?);
            let found = erasure::parked_by(database, position).await;
            parked.extend(found.map_err(checkpoint_problem)?);
        }
    }
    pending.dedup();
    let not_run_here: Vec<_> =
        STEPS.iter().map(|(module, _)| *module).filter(|module| !runs(running, module)).collect();
    let complete = pending.is_empty() && parked.is_empty() && not_run_here.is_empty();
    let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(HttpResponse::build(status).json(Erasure {
        customer_id,
        position,
        complete,
        pending,
        parked,
        not_run_here,
        documents_retained_until,
    }))
}

/// What follows from an erasure, module by module.
const STEPS: [(&str, &str); 5] = [
    (customers::NAME, customers::erasure::NAME),
    (orders::NAME, orders::erasure::NAME),
    (payments::NAME, payments::erasure::NAME),
    (erasure::CAPTURE, erasure::CAPTURE_ERASURE),
    (billing::NAME, billing::retention::ERASURE),
];

fn runs(running: &Running, module: &str) -> bool {
    running.catalogue.database(module).is_some()
}

/// What follows from an erasure in the modules that run here.
fn steps(running: &Running, position: Position) -> Vec<Step<'_>> {
    let step = |(module, subscription)| {
        let database = running.catalogue.database(module)?;
        Some(Step { subscription, database, position })
    };
    STEPS.into_iter().filter_map(step).collect()
}

fn step_problem(error: StepError) -> Problem {
    match error {
        StepError::Read(error) => error.into(),
        StepError::Checkpoint(error) => checkpoint_problem(error),
    }
}
