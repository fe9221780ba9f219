//! `/admin/parked`: lists, shows, replays and discards parked events.

use actix_web::HttpResponse;
use actix_web::http::header::LINK;
use actix_web::web::{self, Data, ServiceConfig};
use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::Position;
use serde::Deserialize;
use serde_json::json;
use validator::Validate;
use web_api::{FieldError, Limit, Page, Paging, Problem, ValidPath, ValidQuery};

use super::subscriptions::checkpoint_problem;
use super::{Admin, Running};
use crate::system::shown_event::without_personal_data;
use crate::system::subscriptions::Located;
use crate::system::subscriptions::parked::Parked;

/// Maximum number of waiting events shown.
const WAITING: usize = 100;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/parked", web::get().to(list))
        .route("/parked/{subscription}/{position}", web::get().to(show))
        .route("/parked/{subscription}/{position}", web::delete().to(discard))
        .route("/parked/{subscription}/{position}/replay", web::post().to(replay));
}

/// Selects parked events.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct ParkedQuery {
    /// Only events of this subscription.
    subscription: Option<String>,
    /// End of the previous page, `<subscription>:<position>`, as in its `Link` header.
    after: Option<String>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
}

async fn list(admin: Data<Admin>, query: ValidQuery<ParkedQuery>) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let of = match &query.subscription {
        Some(name) => Some(locate(running, name).await?.subscription),
        None => None,
    };
    let after = query.after.as_deref().map(place).transpose()?;
    // One more than the page shows.
    let rows = usize::try_from(Paging::of(query.limit, None).rows()).unwrap_or(usize::MAX);
    let found = running.catalogue.parked(of.as_deref(), after, rows).await;
    let mut items = found.map_err(checkpoint_problem)?;
    let is_more = items.len() == rows;
    items.truncate(rows - 1);
    let mut response = HttpResponse::Ok();
    if let Some(last) = items.last().filter(|_| is_more) {
        let of = of.map_or_else(String::new, |of| format!("&subscription={of}"));
        let (name, position, limit) = (&last.subscription, last.position, rows - 1);
        let next =
            format!("</admin/parked?after={name}:{position}&limit={limit}{of}>; rel=\"next\"");
        response.insert_header((LINK, next));
    }
    Ok(response.json(Page { items }))
}

fn place(text: &str) -> Result<(&str, Position), Problem> {
    let place = text.rsplit_once(':').and_then(|(name, at)| Some((name, at.parse().ok()?)));
    place.ok_or_else(|| {
        let expected = "expected <subscription>:<position>, as in a Link header";
        Problem::invalid_parameter(FieldError::new("after", "value", expected))
    })
}

type Path = ValidPath<(String, Position)>;

async fn show(admin: Data<Admin>, path: Path) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let (located, parked) = find(running, &path).await?;
    let event = running.catalogue.event_of(&parked).await?;
    let event = event.map(|event| without_personal_data(&event)).transpose();
    let waiting = located.waiting_behind(&parked, WAITING).await.map_err(checkpoint_problem)?;
    let mut shown = json!(parked);
    shown["event"] = json!(event.map_err(|error| Problem::internal(error.into_boxed_dyn_error()))?);
    shown["waiting"] = json!(waiting);
    Ok(HttpResponse::Ok().json(shown))
}

/// Requests a replay by the replica that runs the subscription. A later `GET` shows the outcome.
async fn replay(admin: Data<Admin>, path: Path) -> Result<HttpResponse, Problem> {
    let (located, parked) = find(admin.running()?, &path).await?;
    in_charge(&located).await?;
    let name = &located.subscription;
    let requested = located.database.request_replay(name, parked.position).await;
    if !requested.map_err(checkpoint_problem)? {
        return Err(not_parked());
    }
    let owner = located.owner().await.map_err(checkpoint_problem)?;
    let answer = json!({ "subscription": name, "position": parked.position, "owner": owner });
    Ok(HttpResponse::Accepted().json(answer))
}

async fn discard(admin: Data<Admin>, path: Path) -> Result<HttpResponse, Problem> {
    let (located, parked) = find(admin.running()?, &path).await?;
    in_charge(&located).await?;
    let name = &located.subscription;
    let discarded = located.database.discard(name, parked.position).await;
    if !discarded.map_err(checkpoint_problem)? {
        return Err(not_parked());
    }
    tracing::info!(subscription = name, position = parked.position, "discarded a parked event");
    Ok(HttpResponse::NoContent().finish())
}

async fn find(running: &Running, path: &Path) -> Result<(Located, Parked), Problem> {
    let (name, position) = &**path;
    let located = locate(running, name).await?;
    let parked = located.parked_at(*position).await.map_err(checkpoint_problem)?;
    Ok((located, parked.ok_or_else(not_parked)?))
}

/// Fails if the module was handed over: its parked events belong to the other service.
async fn in_charge(located: &Located) -> Result<(), Problem> {
    match located.gone().await? {
        None => Ok(()),
        Some(complaint) => Err(Problem::refused("elsewhere", complaint)),
    }
}

async fn locate(running: &Running, name: &str) -> Result<Located, Problem> {
    let located = running.catalogue.locate(name).await.map_err(checkpoint_problem)?;
    located.ok_or_else(|| Problem::not_found(running.catalogue.unknown(name).to_string()))
}

fn not_parked() -> Problem {
    Problem::not_found("No event is parked at this position for this subscription.")
}
