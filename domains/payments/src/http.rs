//! The routes under `/api/v1/payments`.

mod refunds;

use actix_web::web::Data;
use actix_web::{HttpResponse, get, post};
use billing_contract::InvoiceId;
use database::Database;
use kernel::decider::Decider;
use kernel::execution::{Environment, ExecuteError};
use kernel::projection::Progress;
use payments_contract::PaymentId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;
use web_api::{
    Acknowledgement, CarriesOut, CommandOn, CommandProblems, CommandRequest, DateBound, Dates,
    Done, HistoryEntry, HistoryQuery, IdOf, LegacyKey, Limit, ListCursor, NoBody, NotModified,
    Owner, Page, Problem, ReadHeaders, ReadOf, ReadProblems, ReadRequest, Sort, SortDate,
    SortedListProblems, ValidPath, ValidQuery,
};

pub use crate::view::PaymentView;

use crate::domain::{PaymentDecider, Refusal};
use crate::handlers::Payments;
use crate::projections::Status;
use crate::queries::{self, PaymentFilter};

/// What the handlers need.
pub(crate) struct Api {
    pub(crate) payments: Payments,
    pub(crate) database: Database,
    pub(crate) progress: Progress,
}

/// What the commands of the routes are carried out with.
impl CarriesOut for Api {
    const CATEGORY: &'static str = CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.payments.environment
    }
}

const CATEGORY: &str = PaymentDecider::CATEGORY;
const NO_SUCH_PAYMENT: &str = "There is no such payment.";
const NO_SUCH_REFUND: &str = "There is no such refund.";

/// Adds the routes. They find what they need in the application's data.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        utoipa_actix_web::scope("/api/v1/payments")
            .service(list)
            .service(history)
            .service(refunds::list_all)
            .service(refunds::refund_all)
            .service(refunds::propose)
            .service(refunds::retry)
            .service(refunds::list)
            .service(refunds::get_one)
            .service(cancel)
            .service(get_one),
    );
}

/// Cancel a payment
///
/// Gives up a payment that the provider has not decided yet. Money it takes all the same goes
/// back. Cancelling twice changes nothing.
#[utoipa::path(
    operation_id = "cancel_payment", tag = "payments",
    params(CommandOn<PaymentId>),
    responses(
        (status = 200, description = "The payment is cancelled", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/cancel")]
async fn cancel(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**api, *id, body.payload(), async |attempt, expected| {
            api.payments.cancel(*id, attempt.cause(), expected).await.map_err(problem)
        })
        .await
}

/// Show a payment
///
/// One payment.
#[utoipa::path(
    operation_id = "get_payment", tag = "payments",
    params(ReadOf<PaymentId>),
    responses(
        (status = 200, description = "The payment", body = PaymentView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
async fn get_one(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let payment = queries::by_id(&api.database, *id).await?;
    let payment = payment.ok_or_else(|| Problem::not_found(NO_SUCH_PAYMENT))?;
    read.found(&api.payments.environment, payment.revision, &PaymentView::from(payment))
}

/// Which payments are wanted.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPayments {
    /// Only payments in this status.
    status: Option<Status>,
    /// Only payments for this invoice.
    #[param(value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
    /// Only payments that this system (`bascule`) or a legacy system (`legacy`) owns.
    owner: Option<Owner>,
    /// Only payments imported under this key of the legacy system, as `legacy.id` shows it.
    legacy_id: Option<LegacyKey>,
    /// Only payments requested then or later: a day (its start in UTC) or a moment. Sorts by `-requested_at`
    /// unless `sort` says otherwise.
    requested_from: Option<DateBound>,
    /// Only payments requested before then: a day (its start in UTC) or a moment. Sorts by `-requested_at`
    /// unless `sort` says otherwise.
    requested_before: Option<DateBound>,
    /// `requested_at` for the earliest first, `-requested_at` for the latest first; payments requested at the
    /// same time are in the order of their ids. Without it, and without bounds, the payments that were recorded
    /// last come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Where the last page ended: taken from its Link header. 422 when the sort or a filter is another.
    cursor: Option<ListCursor>,
}

/// The date of a payment and of a refund.
#[derive(Debug, Clone, Copy)]
pub struct RequestedAt;

impl SortDate for RequestedAt {
    const NAME: &'static str = "requested_at";
}

/// A type with a name of its own, as the OpenAPI description wants it.
pub type DateSort = Sort<RequestedAt>;

/// List payments
///
/// Payments, newest first unless `sort` says otherwise.
#[utoipa::path(
    operation_id = "list_payments", tag = "payments",
    params(ListPayments, ReadHeaders),
    responses(
        (status = 200, description = "Payments, newest first or as sorted", body = Page<PaymentView>),
        SortedListProblems,
    ),
)]
#[get("")]
async fn list(
    api: Data<Api>,
    query: ValidQuery<ListPayments>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.requested_from, query.requested_before);
    let wanted = read.list(&api.payments.environment, query.limit, query.cursor, dates)?;
    let filter = PaymentFilter {
        status: query.status,
        invoice_id: query.invoice_id,
        owner: query.owner,
        legacy_id: query.legacy_id.map(LegacyKey::into_inner),
    };
    let rows = queries::list(&api.database, &filter, &wanted).await?;
    let rows = rows.into_iter().map(|(place, row)| (place, PaymentView::from(row))).collect();
    Ok(read.listed(&wanted, rows))
}

/// Show a payment's history
///
/// Its events, oldest first; personal values that were erased are null.
#[utoipa::path(
    operation_id = "get_payment_history", tag = "payments",
    params(IdOf<PaymentId>, HistoryQuery),
    responses(
        (status = 200, description = "Its events, oldest first", body = Page<HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
async fn history(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&api.payments.environment, CATEGORY, *id, &query, &read).await
}

/// Says a refusal as a problem.
fn problem(error: ExecuteError<Refusal>) -> Problem {
    Problem::from_execute(error, |refusal| {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoSuchPayment => Problem::not_found(NO_SUCH_PAYMENT),
            Refusal::OwnedByLegacy => Problem::owned_by_legacy(detail),
            Refusal::AlreadyCaptured => Problem::refused("already-captured", detail),
            Refusal::AlreadyOver(_) => Problem::refused("already-over", detail),
            Refusal::NothingToRefund(_) => Problem::refused("nothing-to-refund", detail),
            Refusal::AlreadyRefunded => Problem::refused("already-refunded", detail),
            Refusal::RefundRefused => Problem::refused("refund-refused", detail),
            Refusal::ExceedsPayment { .. } => Problem::refused("refund-exceeds-payment", detail),
            Refusal::TooPrecise { .. } => Problem::invalid_field("amount", "decimals", &detail),
            Refusal::NoRefundRequested => Problem::not_found(NO_SUCH_REFUND),
            // Only the policies, the reactor and the import are refused so.
            Refusal::AlreadyRequested
            | Refusal::AnotherCapture
            | Refusal::NotDueYet { .. }
            | Refusal::OwnedByBascule
            | Refusal::Incomplete(_) => Problem::unexpected_refusal(refusal),
        }
    })
}

#[cfg(test)]
mod tests {
    use web_api::ProblemKind;

    use super::*;

    #[test]
    fn a_refusal_that_no_route_can_provoke_is_a_defect() {
        for refusal in [
            Refusal::AlreadyRequested,
            Refusal::AnotherCapture,
            Refusal::NotDueYet { deadline: chrono::DateTime::UNIX_EPOCH },
            Refusal::OwnedByBascule,
            Refusal::Incomplete("amount"),
        ] {
            let answered = problem(ExecuteError::Refused(refusal));
            assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
        }
    }
}
