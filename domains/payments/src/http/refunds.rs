//! Refunds of a payment.

use actix_web::web::Data;
use actix_web::{HttpResponse, get, post};
use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use payments_contract::{PaymentId, RefundId, RefundLine, RefundScope};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use validator::{Validate, ValidationError};
use web_api::{
    Acknowledgement, CommandHeaders, CommandOn, CommandProblems, CommandRequest, Cursor, DateBound,
    Dates, Done, IdOf, IfMatchHeader, IfNoneMatchHeader, Limit, Line, ListCursor, NoBody,
    NotModified, Page, Paging, PositiveDecimal, Problem, QuantityOfLine, ReadHeaders, ReadProblems,
    ReadRequest, SortedListProblems, ValidJson, ValidPath, ValidQuery,
};

use super::{Api, DateSort, NO_SUCH_PAYMENT, NO_SUCH_REFUND, problem};
use crate::projections::{RefundCause, RefundRow, RefundStatus, RefundedLine};
use crate::queries;

/// What seeds the id of a new refund.
const REFUND: &str = "refund";

/// Why the money is to go back.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The chairs arrived broken"}))]
pub struct RefundPayment {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    reason: Line<200>,
}

/// Refund a payment
///
/// Requests a refund of all that is left of a captured payment. Billing issues the credit note first; where
/// it cannot, the refund is `refused` a moment later. A second request changes nothing.
#[utoipa::path(
    operation_id = "refund_payment", tag = "payments",
    params(CommandOn<PaymentId>),
    request_body = RefundPayment,
    responses(
        (status = 200, body = Acknowledgement,
         description = "The refund was requested; the provider carries it out once its credit note is issued"),
        CommandProblems,
    ),
)]
#[post("/{id}/refund")]
pub(super) async fn refund_all(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: ValidJson<RefundPayment>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .change(&**api, *id, payload, async |attempt, expected| {
            let refund = attempt.new_id_of(REFUND).into();
            let reason = body.into_inner().reason.into_inner();
            let refunded = api.payments.refund(*id, refund, reason, attempt.cause(), expected);
            refunded.await.map_err(problem)
        })
        .await
}

/// How much is to go back, and why. Without `amount` and `lines`: all that is left.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = amount_or_lines))]
#[schema(as = CreateRefund, example = json!({"reason": "A chair arrived broken", "lines": [{"line": 1, "quantity": "1"}]}))]
pub struct CreateRefund {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    reason: Line<200>,
    /// A sum with tax, in the payment's currency.
    #[serde(
        default,
        deserialize_with = "web_api::not_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    amount: Option<PositiveDecimal>,
    /// Lines of the invoice; billing says what they come to.
    #[serde(
        default,
        deserialize_with = "web_api::not_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[validate(length(min = 1, max = 200), nested)]
    #[schema(nullable = false, min_items = 1, max_items = 200)]
    lines: Option<Vec<QuantityOfLine>>,
}

fn amount_or_lines(body: &CreateRefund) -> Result<(), ValidationError> {
    if body.amount.is_some() && body.lines.is_some() {
        let expected = "expected `amount` or `lines`, not both";
        return Err(ValidationError::new("amount_or_lines").with_message(expected.into()));
    }
    Ok(())
}

impl CreateRefund {
    fn scope(&self) -> RefundScope {
        if let Some(lines) = &self.lines {
            let lines = lines.iter();
            let lines =
                lines.map(|line| RefundLine { line: line.line, quantity: line.quantity.value() });
            return RefundScope::Lines { lines: lines.collect() };
        }
        match &self.amount {
            Some(amount) => RefundScope::Amount { amount: amount.value() },
            None => RefundScope::Rest,
        }
    }
}

/// Refund some of a payment
///
/// Asks for money of a captured payment to go back: all that is left, a sum, or lines of its invoice.
/// Several refunds are possible until nothing is left. Billing issues the credit note first; where it
/// cannot, because it is more than what is left of a line, say, the refund is `refused` a moment later.
///
/// A refund is for goods that the customer keeps. Goods that come back are a return of the order
/// (`return_order`), which refunds what was paid by itself: both together credit the goods twice.
#[utoipa::path(
    operation_id = "create_refund", tag = "payments",
    params(CommandOn<PaymentId>),
    request_body = CreateRefund,
    responses(
        (status = 201, description = "The refund was requested", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/refunds")]
pub(super) async fn propose(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: ValidJson<CreateRefund>,
) -> Result<Done, Problem> {
    let (id, expected) = (*id, command.if_match());
    command
        .create(&**api, body.payload(), async |attempt| {
            let refund = RefundId::from(attempt.new_id_of(REFUND));
            let (scope, reason, cause) =
                (body.scope(), body.reason.clone().into_inner(), attempt.cause());
            let proposed =
                api.payments.propose_refund(id, refund, scope, reason, cause, expected).await;
            Ok((refund, proposed.map_err(problem)?))
        })
        .await
}

/// Which refund.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RefundPath {
    id: PaymentId,
    refund_id: RefundId,
}

/// Retry a failed refund
///
/// Tries a refund again that failed because the provider refused it. If the refund is pending or done, it
/// changes nothing; if it was refused for want of a credit note, it answers 409.
#[utoipa::path(
    operation_id = "retry_refund", tag = "payments",
    params(
        IdOf<PaymentId>,
        ("refund_id" = Uuid, Path, description = "The refund"),
        CommandHeaders, IfMatchHeader
    ),
    responses(
        (status = 200, description = "The provider is asked again", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/refunds/{refund_id}/retry")]
pub(super) async fn retry(
    api: Data<Api>,
    path: ValidPath<RefundPath>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    let RefundPath { id, refund_id } = *path;
    command
        .change(&**api, refund_id, body.payload(), async |attempt, expected| {
            let retried = api.payments.retry_refund(id, refund_id, attempt.cause(), expected);
            retried.await.map_err(problem)
        })
        .await
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: RefundId,
    /// The payment whose money goes back.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// How far it is.
    status: RefundStatus,
    /// What led to it.
    cause: RefundCause,
    /// How much goes back: the requested sum until the credit note is issued, then what it comes to. Absent
    /// while the rest or lines are requested and no credit note is issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = "decimal", example = "59.88")]
    amount: Option<Decimal>,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: String,
    /// The lines of the invoice that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RefundedLine>,
    /// The credit note that it pays out, where it was issued for this refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    credit_note_id: Option<InvoiceId>,
    /// The provider's own reference, once the money is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
    /// Why it failed, as the provider's code, or was refused: `not_paid`, `exceeds_invoice`,
    /// `no_such_line`, `exceeds_line`, `nothing_to_credit`, `nothing_left`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// When it was asked for.
    requested_at: DateTime<Utc>,
}

impl From<RefundRow> for RefundView {
    fn from(row: RefundRow) -> Self {
        let details = row.details;
        Self {
            id: row.id,
            payment_id: row.payment_id,
            status: row.status,
            cause: details.cause,
            amount: details.amount,
            currency: details.currency,
            lines: details.lines,
            credit_note_id: details.credit_note_id,
            reference: details.reference,
            code: details.code,
            requested_at: details.requested_at,
        }
    }
}

/// Show a refund
///
/// One refund.
#[utoipa::path(
    operation_id = "get_refund", tag = "payments",
    params(
        IdOf<PaymentId>,
        ("refund_id" = Uuid, Path, description = "The refund"),
        ReadHeaders, IfNoneMatchHeader
    ),
    responses(
        (status = 200, description = "The refund", body = RefundView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}/refunds/{refund_id}")]
pub(super) async fn get_one(
    api: Data<Api>,
    path: ValidPath<RefundPath>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let RefundPath { id, refund_id } = *path;
    let refund = queries::refund(&api.database, id, refund_id).await?;
    let refund = refund.ok_or_else(|| Problem::not_found(NO_SUCH_REFUND))?;
    read.found(&api.payments.environment, refund.revision, &RefundView::from(refund))
}

/// Which page is wanted.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListRefunds {
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Where the last page ended: taken from its Link header.
    cursor: Option<Cursor>,
}

/// List a payment's refunds
///
/// Refunds of a payment, newest first.
#[utoipa::path(
    operation_id = "list_refunds", tag = "payments",
    params(IdOf<PaymentId>, ListRefunds, ReadHeaders),
    responses(
        (status = 200, description = "Refunds, newest first", body = Page<RefundView>),
        ReadProblems,
    ),
)]
#[get("/{id}/refunds")]
pub(super) async fn list(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    query: ValidQuery<ListRefunds>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    if queries::by_id(&api.database, *id).await?.is_none() {
        return Err(Problem::not_found(NO_SUCH_PAYMENT));
    }
    let query = query.into_inner();
    let paging = Paging::of(query.limit, query.cursor);
    let rows = queries::refunds(&api.database, *id, paging).await?;
    let rows = rows.into_iter().map(|row| (row.position, RefundView::from(row))).collect();
    Ok(read.page(paging, rows))
}

/// Which refunds are wanted.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAllRefunds {
    /// Only refunds in this status; those that `failed` wait for a person to retry them.
    status: Option<RefundStatus>,
    /// Only refunds requested then or later: a day (its start in UTC) or a moment. Sorts by `-requested_at`
    /// unless `sort` says otherwise.
    requested_from: Option<DateBound>,
    /// Only refunds requested before then: a day (its start in UTC) or a moment. Sorts by `-requested_at`
    /// unless `sort` says otherwise.
    requested_before: Option<DateBound>,
    /// `requested_at` for the earliest first, `-requested_at` for the latest first; refunds requested at the
    /// same time are in the order of their ids. Without it, and without bounds, the refunds that were recorded
    /// last come first.
    #[param(inline)]
    sort: Option<DateSort>,
    /// Maximum number of items per page.
    limit: Option<Limit>,
    /// Where the last page ended: taken from its Link header. 422 when the sort or a filter is another.
    cursor: Option<ListCursor>,
}

/// List refunds
///
/// Refunds of all payments, newest first unless `sort` says otherwise.
#[utoipa::path(
    operation_id = "list_all_refunds", tag = "payments",
    params(ListAllRefunds, ReadHeaders),
    responses(
        (status = 200, description = "Refunds, newest first or as sorted", body = Page<RefundView>),
        SortedListProblems,
    ),
)]
#[get("/refunds")]
pub(super) async fn list_all(
    api: Data<Api>,
    query: ValidQuery<ListAllRefunds>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&api.payments.environment, &api.progress).await?;
    let query = query.into_inner();
    let dates = Dates::of(query.sort, query.requested_from, query.requested_before);
    let wanted = read.list(&api.payments.environment, query.limit, query.cursor, dates)?;
    let rows = queries::all_refunds(&api.database, query.status, &wanted).await?;
    let rows = rows.into_iter().map(|(place, row)| (place, RefundView::from(row))).collect();
    Ok(read.listed(&wanted, rows))
}
