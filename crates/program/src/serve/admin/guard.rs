//! The access check before every route.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use web_api::Problem;

use super::state::Admin;

/// Rejects requests that the listener's access policy does not allow.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let allowed = match request.app_data::<web::Data<Admin>>() {
        Some(admin) => admin.access.check(request.headers()),
        None => Err(Problem::internal("the routes were not configured")),
    };
    match allowed {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(problem) => Ok(request.error_response(problem)),
    }
}
