//! `/api/v1/loyalty/cards`

use actix_web::web::Data;
use actix_web::{HttpResponse, get, post};
use database::Database;
use database::documents::Documents;
use kernel::decider::Decider as _;
use kernel::execution::Environment;
use kernel::projection::Progress;
use loyalty_contract::{CardId, PointsSpent};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;
use web_api::{
    Acknowledgement, CarriesOut, CommandOn, CommandProblems, CommandRequest, Done, NotModified,
    Problem, ReadOf, ReadProblems, ReadRequest, ValidJson, ValidPath,
};

use crate::cards::{CardView, Cards};
use crate::domain::{CardDecider, Command, Refusal};

/// The data of the handlers.
pub struct Api {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) cards: Documents<Cards>,
    pub(crate) progress: Progress,
}

impl CarriesOut for Api {
    const CATEGORY: &'static str = CardDecider::CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }
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
    params(ReadOf<CardId>),
    responses((status = 200, description = "The card", body = CardView), NotModified, ReadProblems),
)]
#[get("/{id}")]
async fn get_one(
    api: Data<Api>,
    id: ValidPath<CardId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.environment, &api.progress).await?;
    let card = api.cards.find(&api.database, id.as_uuid()).await?;
    let card = card.ok_or_else(|| Problem::not_found("The customer has no card."))?;
    read.found(&api.environment, card.revision, &card.document)
}

/// Points to spend.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SpendPoints {
    /// Number of points.
    #[validate(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    points: u32,
}

/// Spend points
#[utoipa::path(
    operation_id = "spend_points",
    tag = "loyalty",
    params(CommandOn<CardId>),
    request_body = SpendPoints,
    responses(
        (status = 200, description = "The points are spent", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/spend")]
async fn spend(
    api: Data<Api>,
    id: ValidPath<CardId>,
    command: CommandRequest,
    body: ValidJson<SpendPoints>,
) -> Result<Done, Problem> {
    let (environment, card_id) = (&api.environment, *id);
    command
        .change(&**api, card_id, body.payload(), async |attempt, expected| {
            let spend = Command::Spend(PointsSpent { card_id, points: body.points });
            let cause = attempt.cause();
            let spent = environment.execute::<CardDecider>(card_id, spend, cause, expected).await;
            spent.map_err(problem)
        })
        .await
}

fn problem(error: kernel::execution::ExecuteError<Refusal>) -> Problem {
    Problem::from_execute(error, |refusal| match refusal {
        Refusal::TooFewPoints(_) => Problem::refused("too-few-points", refusal.to_string()),
    })
}
