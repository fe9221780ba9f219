//! `POST /admin/customers/{id}/erase`

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use chrono::NaiveDate;
use database::Database;
use kernel::event::Position;
use module::{ErasesCustomers, RetainsDocuments};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;
use web_api::{Problem, RequestContext, ValidPath};

use super::Admin;
use super::subscriptions::checkpoint_problem;
use crate::system::erasure::{self, Step, StepError};
use crate::system::opening::System;
use crate::system::participants::ERASING;

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

/// What the modules that run here do about an erasure.
pub struct Erasing {
    decides: Option<Arc<dyn ErasesCustomers>>,
    follows: Vec<Follows>,
}

/// What one of them does.
struct Follows {
    module: &'static str,
    database: Database,
    subscription: Option<&'static str>,
    retains: Option<Arc<dyn RetainsDocuments>>,
}

impl Erasing {
    /// What the modules of an open system do.
    pub fn of(system: &System) -> Self {
        let modules = system.modules.iter();
        let follows = modules.clone().map(|module| Follows {
            module: module.name,
            database: module.database.clone(),
            subscription: module.erasure,
            retains: module.retains.clone(),
        });
        let follows = follows.collect();
        Self { decides: modules.clone().find_map(|module| module.erases.clone()), follows }
    }

    /// Returns the step that a module takes when a customer is erased at a position.
    fn step(&self, module: &str, position: Position) -> Option<Step<'_>> {
        let follows = self.follows.iter().find(|follows| follows.module == module)?;
        Some(Step { subscription: follows.subscription?, database: &follows.database, position })
    }
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
    let erasing = &running.erasing;
    if let Some(decides) = &erasing.decides {
        decides.erase(customer_id, &context.cause()).await?;
    }
    let position = erasure::erased_at(environment, customer_id.into()).await?;
    let position = position.ok_or_else(|| match erasing.decides {
        Some(_) => Problem::unavailable("The store was replaced."),
        None => Problem::not_found(
            "The customer is not erased: ask where customers run, and then here how far it is.",
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
        // Nothing is retained, or no longer: that is an event of its own, and has its own step.
        let Some(position) = retained.ended_at else { continue };
        if let Some(step) = erasing.step(follows.module, position) {
            let waited = erasure::not_taken(log, vec![step], deadline).await;
            pending.extend(waited.map_err(step_problem)?);
            let found = erasure::parked_by(&follows.database, position).await;
            parked.extend(found.map_err(checkpoint_problem)?);
        }
    }
    pending.dedup();
    // A module that was handed over has tables elsewhere, too.
    let mut not_run_here = Vec::new();
    for module in ERASING {
        let is_here = match running.catalogue.database(module) {
            Some(database) => database.charge().await?.elsewhere.is_none(),
            None => false,
        };
        if !is_here {
            not_run_here.push(module);
        }
    }
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

fn step_problem(error: StepError) -> Problem {
    match error {
        StepError::Read(error) => error.into(),
        StepError::Checkpoint(error) => checkpoint_problem(error),
    }
}
