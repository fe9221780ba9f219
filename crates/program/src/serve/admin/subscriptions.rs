//! `/admin/subscriptions`, `/admin/projections/…` and `/admin/jobs`.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::{self, Data, ServiceConfig};
use database::read_model::ReadModelError;
use kernel::checkpoint::CheckpointError;
use kernel::projection::FoldError;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use web_api::{Page, Problem, ProblemKind, ValidPath};

use super::{Admin, Running};
use crate::serve::probes;
use crate::system::subscriptions::overview::{Overview, OverviewError};
use crate::system::subscriptions::work::{TargetError, Work};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/subscriptions", web::get().to(list))
        .route("/projections/prune", web::post().to(prune))
        .route("/projections/{name}/build", web::post().to(build))
        .route("/projections/{name}/rebuild", web::post().to(rebuild))
        .route("/projections/{name}/verify", web::post().to(verify))
        .route("/jobs", web::get().to(jobs))
        .route("/jobs/{id}", web::get().to(job));
}

/// A subscription, with its state on the replica that answers.
#[derive(Serialize)]
pub struct Described {
    #[serde(flatten)]
    pub overview: Overview,
    here: Option<Value>,
}

async fn list(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(Page { items: described(admin.running()?).await? }))
}

/// Returns the status of every subscription in the whole system and on this replica.
pub async fn described(running: &Running) -> Result<Vec<Described>, Problem> {
    let overviews = running.catalogue.overviews().await.map_err(overview_problem)?;
    let described = overviews.into_iter().map(|overview| {
        let state = running.states.iter().find(|(name, _)| *name == overview.subscription);
        let here = state.map(|(_, state)| probes::described(&state.borrow()));
        Described { overview, here }
    });
    Ok(described.collect())
}

async fn build(admin: Data<Admin>, name: ValidPath<String>) -> Result<HttpResponse, Problem> {
    start(&admin, Work::Build, &name)
}

async fn rebuild(admin: Data<Admin>, name: ValidPath<String>) -> Result<HttpResponse, Problem> {
    start(&admin, Work::Rebuild, &name)
}

async fn verify(admin: Data<Admin>, name: ValidPath<String>) -> Result<HttpResponse, Problem> {
    start(&admin, Work::Verify, &name)
}

fn start(admin: &Admin, work: Work, name: &str) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let target = running.catalogue.target_of(work, name).map_err(|error| match error {
        TargetError::Unknown(error) => Problem::not_found(error.to_string()),
        error @ TargetError::NoRows { .. } => Problem::refused("no-rows", error.to_string()),
    })?;
    match running.jobs.start(work, target) {
        Ok(job) => {
            let mut response = HttpResponse::Accepted();
            response.insert_header((LOCATION, path_of(job.id)));
            Ok(response.json(job))
        }
        Err(job) => {
            let (name, work, path) = (&job.subscription, job.work.as_str(), path_of(job.id));
            let detail = format!("A job for {name} is already running: {work}, see {path}.");
            let problem = Problem::new(ProblemKind::Busy, detail).with("job", json!(job.id));
            Err(match HeaderValue::from_str(&path) {
                Ok(path) => problem.with_header(LOCATION, path),
                Err(_) => problem,
            })
        }
    }
}

fn path_of(job: Uuid) -> String {
    format!("/admin/jobs/{job}")
}

async fn jobs(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(Page { items: admin.running()?.jobs.all() }))
}

async fn job(admin: Data<Admin>, id: ValidPath<Uuid>) -> Result<HttpResponse, Problem> {
    let job = admin.running()?.jobs.find(*id);
    let job = job.ok_or_else(|| {
        Problem::not_found(
            "There is no job with this id. Only recent jobs of this process are kept.",
        )
    })?;
    Ok(HttpResponse::Ok().json(job))
}

async fn prune(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let pruned = admin.running()?.catalogue.prune().await.map_err(read_model_problem)?;
    Ok(HttpResponse::Ok().json(pruned))
}

fn overview_problem(error: OverviewError) -> Problem {
    match error {
        OverviewError::Read(error) => error.into(),
        OverviewError::Checkpoint(error) => checkpoint_problem(error),
    }
}

fn read_model_problem(error: ReadModelError) -> Problem {
    match error {
        ReadModelError::Read(error) => error.into(),
        ReadModelError::Database(error) => error.into(),
        ReadModelError::Checkpoint(error) => checkpoint_problem(error),
        ReadModelError::Fold(error @ FoldError::Interrupted { .. }) => Problem::unavailable(error),
        error => Problem::internal(error),
    }
}

/// Returns the problem document for an error of the subscriptions' checkpoints.
pub fn checkpoint_problem(error: CheckpointError) -> Problem {
    match error {
        CheckpointError::Unavailable(_) => Problem::unavailable(error),
        CheckpointError::Unknown { .. } => Problem::not_found(error.to_string()),
        error => Problem::internal(error),
    }
}
