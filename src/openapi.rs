//! The OpenAPI description of the public API, generated from the routes.

use http::Configure;
use utoipa::OpenApi;
use utoipa_actix_web::AppExt as _;

/// What is said of the API as a whole. Modules add their paths and schemas.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "bascule",
        description = "Customers, orders, billing and payments on an event store. \
            Every command answers `Bascule-Position`; a read that sends it back as \
            `Bascule-Min-Position` sees at least that state. Errors are \
            `application/problem+json` (RFC 9457).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = customers::NAME, description = "Who buys"),
        (name = orders::NAME, description = "What is bought"),
        (name = billing::NAME, description = "Invoices and credit notes"),
        (name = payments::NAME, description = "Payments and refunds"),
        (name = "correlations", description = "What one request caused, in every module")
    )
)]
struct Description;

/// The description without any module's paths.
pub fn base() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The routes of all modules, without what their handlers need at run time.
fn all_routes() -> Vec<Configure> {
    vec![
        std::sync::Arc::new(customers::routes),
        std::sync::Arc::new(orders::routes),
        std::sync::Arc::new(billing::routes),
        std::sync::Arc::new(payments::routes),
        std::sync::Arc::new(http::history::routes),
    ]
}

/// The whole description, whatever modules run here.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut app = actix_web::App::new().into_utoipa_app().openapi(base());
    for routes in all_routes() {
        app = app.configure(|config| routes(config));
    }
    let (_, document) = app.split_for_parts();
    http::openapi::completed(document)
}
