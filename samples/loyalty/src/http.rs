//! `/api/v1/loyalty/cards`

use actix_web::web::Data;
use actix_web::{HttpResponse, get, post};
use database::Database;
use database::documents::Documents;
use kernel::decider::Decider as _;
use kernel::execution::Environment;
use kernel::projection::Progress;
use loyalty_contract::PointsSpent;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, Done, Problem, ReadHeaders,
    ReadProblems, ReadRequest, ValidJson, ValidPath,
};

use crate::cards::{CardView, Cards};
use crate::domain::{CardDecider, Command, Refusal};

/// What the handlers work with.
pub struct Api {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) cards: Documents<Cards>,
    pub(crate) progress: Progress,
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(utoipa_actix_web::scope("/api/v1/loyalty/cards").service(spend).service(get_one));
}

/// Get a card
#[utoipa::path(
    operation_id = "get_card",
    tag = "loyalty",
    params(("customer_id" = Uuid, Path, description = "The customer"), ReadHeaders),
    responses((status = 200, description = "The card", body = CardView), ReadProblems),
)]
#[get("/{customer_id}")]
async fn get_one(
    api: Data<Api>,
    customer_id: ValidPath<Uuid>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.environment, &api.progress).await?;
    let card = api.cards.find(&api.database, *customer_id).await?;
    let card = card.ok_or_else(|| Problem::not_found("The customer has no card."))?;
    read.found(&api.environment, card.revision, &card.document)
}

/// Points to be spent.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SpendPoints {
    /// How many.
    #[validate(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    points: u32,
}

/// Spend points
#[utoipa::path(
    operation_id = "spend_points",
    tag = "loyalty",
    params(("customer_id" = Uuid, Path, description = "The customer"), CommandHeaders),
    request_body = SpendPoints,
    responses(
        (status = 200, description = "The points are spent", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{customer_id}/spend")]
async fn spend(
    api: Data<Api>,
    customer_id: ValidPath<Uuid>,
    command: CommandRequest,
    body: ValidJson<SpendPoints>,
) -> Result<Done, Problem> {
    let (database, environment) = (&api.database, &api.environment);
    let category = CardDecider::CATEGORY;
    let (payload, customer_id) = (body.payload(), *customer_id);
    let spent = PointsSpent { customer_id, points: body.points };
    command
        .once(database, environment, category, payload, async |attempt| {
            let spend = Command::Spend(spent.clone());
            let cause = attempt.cause();
            let done = environment.execute::<CardDecider>(customer_id, spend, cause, None).await;
            Ok(Done::changed(customer_id, done.map_err(problem)?))
        })
        .await
}

fn problem(error: kernel::execution::ExecuteError<Refusal>) -> Problem {
    Problem::from_execute(error, |refusal| match refusal {
        Refusal::TooFewPoints(_) => Problem::refused("too-few-points", refusal.to_string()),
    })
}
