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
use uuid::Uuid;

use super::{Admin, Running};
use crate::erasure::{self, Step};

/// How long the answer waits for everything that follows.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an erasure.
#[derive(Debug, Serialize)]
struct Erasure {
    customer_id: Uuid,
    /// Where the decision stands in the log.
    position: Position,
    /// Whether everything that follows from it is done, as far as modules run here.
    complete: bool,
    /// What is not done yet: the subscriptions that will do it.
    pending: Vec<&'static str>,
    /// The last day on which the law has the customer's documents kept, with the name and the address
    /// on them; null when nothing is kept.
    documents_retained_until: Option<NaiveDate>,
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
    let customers = Customers::new(running.environment.clone());
    let executed = customers.erase(*id, &context.cause()).await.map_err(|error| {
        Problem::from_execute(error, |refusal| match refusal {
            Refusal::NoSuchCustomer => Problem::not_found("There is no such customer."),
            refusal => Problem::internal(refusal),
        })
    })?;
    let position = executed.position;
    let pending = erasure::not_taken(steps(running), position, PATIENCE).await;
    let pending = pending.map_err(|error| Problem::unavailable(error.to_string()))?;
    let documents_retained_until = match running.catalogue.database(billing::NAME) {
        Some(database) => billing::retention::retained(database, &running.billing, *id).await?,
        None => None,
    };
    let complete = pending.is_empty();
    let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    let customer_id = *id;
    let erasure = Erasure { customer_id, position, complete, pending, documents_retained_until };
    Ok(HttpResponse::build(status).json(erasure))
}

/// What follows from an erasure in the modules that run here.
fn steps(running: &Running) -> Vec<Step<'_>> {
    let steps = [
        (customers::NAME, customers::erasure::NAME),
        (orders::NAME, orders::erasure::NAME),
        (billing::NAME, billing::retention::ERASURE),
        (payments::NAME, payments::erasure::NAME),
        (erasure::CAPTURE, erasure::CAPTURE_ERASURE),
    ];
    let step = |(module, subscription)| {
        running.catalogue.database(module).map(|database| Step { subscription, database })
    };
    steps.into_iter().filter_map(step).collect()
}
