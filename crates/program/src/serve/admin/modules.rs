//! `/admin/modules`: the events, subscriptions, tables and routes of each module, and the status of its
//! subscriptions.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use web_api::{Page, Problem};

use super::Admin;
use super::subscriptions::{self, Described};
use crate::describe::canvas::{Canvas, Listener};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/modules", web::get().to(list));
}

/// A module and whether it runs in this process.
#[derive(Serialize)]
struct Observed {
    #[serde(flatten)]
    canvas: Canvas<Subscribed>,
    /// Whether the module runs in this process.
    runs_here: bool,
}

/// A subscription, with its status if its module runs in this process.
#[derive(Serialize)]
struct Subscribed {
    #[serde(flatten)]
    listener: Listener,
    status: Option<Described>,
}

async fn list(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let running = admin.running()?;
    let mut described = subscriptions::described(running).await?;
    let mut status_of = |name: &str| {
        let found = described.iter().position(|one| one.overview.subscription == name);
        found.map(|index| described.swap_remove(index))
    };
    let items = running.canvases.iter().cloned().map(|canvas| Observed {
        runs_here: running.catalogue.database(canvas.name).is_some(),
        canvas: canvas.with(|listener| Subscribed { status: status_of(&listener.name), listener }),
    });
    Ok(HttpResponse::Ok().json(Page { items: items.collect() }))
}
