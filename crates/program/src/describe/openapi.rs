//! The OpenAPI description of the public API, generated from the routes.

use utoipa::OpenApi;
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa_actix_web::AppExt as _;

use crate::describe::Descriptions;

/// The general part of the description. Modules add their paths and schemas.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "bascule",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
)]
struct Description;

/// Returns the description without any module's paths.
fn base(modules: &Descriptions) -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.info.description = Some(format!(
        "{} on an event store. \
            Every command answers `Bascule-Position`; a read that sends it back as \
            `Bascule-Min-Position` sees at least that state. Errors are \
            `application/problem+json` (RFC 9457).",
        enumerated(&modules.served().map(|module| module.name).collect::<Vec<_>>())
    ));
    let modules = modules.served().map(|module| tag(module.name, module.purpose));
    let of_all = tag("correlations", "Everything that one request caused, across all modules");
    document.tags = Some(modules.chain([of_all]).collect());
    document
}

fn tag(name: &str, about: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(about)).build()
}

/// Returns the names as an enumeration at the beginning of a sentence.
fn enumerated(names: &[&str]) -> String {
    let text = match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    };
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns the whole description of these modules.
pub fn document(modules: &Descriptions) -> utoipa::openapi::OpenApi {
    let mut app = actix_web::App::new().into_utoipa_app().openapi(base(modules));
    for routes in modules.served().filter_map(|module| module.routes) {
        app = app.configure(routes);
    }
    app = app.configure(web_api::history::routes);
    let (_, document) = app.split_for_parts();
    web_api::openapi::completed(document)
}
