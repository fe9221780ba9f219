//! The read model of payments: one row per payment, folded from its events.

use billing_contract::InvoiceId;
use customers_contract::CustomerId;
use database::{Database, Transaction};
use event_contract::Personal;
use kernel::codec::{Either, Envelope};
use kernel::event::RecordedEvent;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;
use payments_contract::{ImportedPayment, ImportedPaymentStatus, PaymentId};
use rust_decimal::Decimal;
use web_api::Owner;

use super::refunds;
use crate::domain::Event;
use crate::erasure::ErasureEvent;
use crate::queries::payments::{self, LastRefund, PaymentDetails, PaymentRow};
use crate::queries::refunds::RefundRow;
use crate::view::{PaymentStatus, RefundProgress};

/// Maintains the rows of payments and refunds.
#[derive(Debug, Clone, Copy)]
pub struct PaymentsProjection;

impl Projection for PaymentsProjection {
    type Store = Database;
    type Event = Either<Event, ErasureEvent>;

    const NAME: &'static str = "payments.payments";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["payment", "payment_refund", "erased_customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        envelope: &Envelope<Either<Event, ErasureEvent>>,
    ) -> Result<(), BoxError> {
        let event = match &envelope.event {
            Either::Left(event) => event,
            Either::Right(ErasureEvent::Erased(customer)) => {
                return clear_free_text(transaction, customer.customer_id).await;
            }
        };
        if let Some(row) = begun(event, &envelope.recorded) {
            return Ok(payments::insert(transaction, &row).await?);
        }
        let id = payment_id(event);
        let found = payments::find(&mut *transaction, id).await?;
        let mut row = found.ok_or(Unknown { what: "payment", id: id.as_uuid() })?;
        apply(&mut row, event);
        row.revision = envelope.recorded.revision;
        let refund = refunds::project(transaction, &row, event, &envelope.recorded).await?;
        if let Some(refund) = refund.as_ref().and_then(|refund| last_refund(refund, event)) {
            row.details.refund = Some(refund);
        }
        // The keys are destroyed shortly after the erasure; until then a new event may still be
        // readable.
        if let (Some(_), Some(customer)) = (&row.details.reason, row.customer_id)
            && payments::is_erased(transaction, customer).await?
        {
            row.details.reason = None;
        }
        Ok(payments::update(transaction, &row).await?)
    }
}

/// Returns the refund that a payment shows after an event; `None` if the event requires no refund.
fn last_refund(refund: &RefundRow, event: &Event) -> Option<LastRefund> {
    let status = match event {
        Event::RefundRequested(_) | Event::RefundRetried(_) => RefundProgress::Requested,
        Event::RefundFailed(_) => RefundProgress::Failed,
        Event::Refunded(_) => RefundProgress::Refunded,
        _ => return None,
    };
    let details = &refund.details;
    Some(LastRefund { status, amount: details.amount?, reference: details.reference.clone() })
}

/// Clears the free text of an erased customer's payments.
async fn clear_free_text(
    transaction: &mut Transaction,
    customer_id: CustomerId,
) -> Result<(), BoxError> {
    payments::erase_customer(transaction, customer_id).await?;
    for mut row in payments::of_customer(&mut *transaction, customer_id).await? {
        row.details.reason = None;
        payments::update(transaction, &row).await?;
    }
    Ok(())
}

fn payment_id(event: &Event) -> PaymentId {
    match event {
        Event::Requested(event) => event.payment_id,
        Event::Captured(event) => event.payment_id,
        Event::Declined(event) => event.payment_id,
        Event::Expired(event) => event.payment_id,
        Event::Cancelled(event) => event.payment_id,
        Event::CapturedLate(event) => event.payment_id,
        Event::RefundProposed(event) => event.payment_id,
        Event::RefundRefused(event) => event.payment_id,
        Event::RefundFailed(event) => event.payment_id,
        Event::RefundRetried(event) => event.payment_id,
        Event::RefundRequested(event) => event.payment_id,
        Event::Refunded(event) => event.payment_id,
        Event::Imported(event) => event.payment_id,
        Event::Revised(event) => event.payment_id,
    }
}

/// Returns the first row of a payment, if the event begins one.
fn begun(event: &Event, recorded: &RecordedEvent) -> Option<PaymentRow> {
    let details = |amount: Decimal, currency: &str| PaymentDetails {
        amount,
        currency: currency.to_owned(),
        requested_at: recorded.metadata.occurred_at,
        method: None,
        deadline: None,
        reason: None,
        provider_reference: None,
        refund: None,
        owed_back: None,
        refunded: None,
        date: None,
        reconciled: None,
        flags: Vec::new(),
    };
    let row = |owner, details| PaymentRow {
        id: payment_id(event),
        position: recorded.position,
        revision: recorded.revision,
        status: PaymentStatus::Pending,
        invoice_id: None,
        customer_id: None,
        owner,
        legacy_source: None,
        legacy_id: None,
        details,
    };
    match event {
        Event::Requested(request) => {
            let details = PaymentDetails {
                method: Some(request.method.clone()),
                deadline: Some(request.deadline),
                ..details(request.amount, &request.currency)
            };
            Some(PaymentRow {
                invoice_id: Some(request.invoice_id.into()),
                customer_id: Some(request.customer_id.into()),
                ..row(Owner::Bascule, details)
            })
        }
        Event::Imported(imported) => {
            let details = details(imported.state.amount, &imported.state.currency);
            let mut row = row(Owner::Legacy, details);
            row.legacy_source = Some(imported.legacy.source.clone());
            row.legacy_id = Some(imported.legacy.id.clone());
            show_imported(&mut row, &imported.state);
            Some(row)
        }
        _ => None,
    }
}

fn apply(row: &mut PaymentRow, event: &Event) {
    match event {
        // These events begin a row and do not occur later.
        Event::Requested(_) | Event::Imported(_) => {}
        Event::Captured(captured) => {
            row.status = PaymentStatus::Captured;
            row.details.provider_reference = Some(captured.provider_reference.clone());
        }
        // The status stays: the next event refunds the money.
        Event::CapturedLate(captured) => {
            row.details.provider_reference = Some(captured.provider_reference.clone());
        }
        Event::Declined(declined) => {
            row.status = PaymentStatus::Declined;
            row.details.reason = declined.reason.known().cloned();
        }
        Event::Expired(_) => row.status = PaymentStatus::Expired,
        Event::Cancelled(_) => row.status = PaymentStatus::Cancelled,
        // These events change only the refund.
        Event::RefundProposed(_)
        | Event::RefundRefused(_)
        | Event::RefundFailed(_)
        | Event::RefundRetried(_) => {}
        Event::RefundRequested(refund) => {
            let owed_back = row.details.owed_back.unwrap_or_default() + refund.amount;
            row.details.owed_back = Some(owed_back);
        }
        Event::Refunded(event) => {
            let refunded = row.details.refunded.unwrap_or_default() + event.amount;
            row.details.refunded = Some(refunded);
            if refunded >= row.details.amount {
                row.status = PaymentStatus::Refunded;
            }
        }
        Event::Revised(revised) => show_imported(row, &revised.state),
    }
}

fn show_imported(row: &mut PaymentRow, state: &ImportedPayment) {
    row.status = match state.status {
        ImportedPaymentStatus::Captured => PaymentStatus::Captured,
        ImportedPaymentStatus::Cancelled => PaymentStatus::Cancelled,
    };
    row.invoice_id = state.invoice_id.map(InvoiceId::from);
    row.customer_id = state.customer_id.map(CustomerId::from);
    let details = &mut row.details;
    details.amount = state.amount;
    details.currency.clone_from(&state.currency);
    details.reason = state.cancelled_reason.as_ref().and_then(Personal::known).cloned();
    details.date = state.date;
    details.reconciled = state.reconciled;
    details.flags.clone_from(&state.flags);
}
