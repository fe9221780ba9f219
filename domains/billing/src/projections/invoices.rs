//! The read model of invoices and credit notes.

use billing_contract::{InvoiceId, RefundDenied, RefundDue};
use customers_contract::CustomerErased;
use database::{Database, Transaction};
use kernel::codec::{Either, Envelope};
use kernel::event::Position;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;

use crate::domain::Event;
use crate::domain::retention::RetentionEnded;
use crate::erasure::ErasureEvent;
use crate::queries::{invoices, retention};
use crate::view::{Collection, InvoiceView};

/// Maintains the view of every document. The documents of an erased customer stay unchanged until their
/// retention ends.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceViews;

impl Projection for InvoiceViews {
    type Store = Database;
    type Event = Either<Event, ErasureEvent>;

    const NAME: &'static str = "billing.invoices";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["invoice_view", "invoice_order", "erased_customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Either<Event, ErasureEvent>>,
    ) -> Result<(), BoxError> {
        let revision = event.recorded.revision;
        let position = event.recorded.position;
        let began = event.recorded.metadata.occurred_at;
        let happened = match &event.event {
            Either::Left(happened) => happened,
            Either::Right(retention) => return retain(transaction, retention).await,
        };
        match happened {
            Event::Issued(invoice) => {
                let view = InvoiceView::issued(invoice, began, revision);
                insert(transaction, &view, position).await
            }
            Event::CreditNoteIssued(note) => {
                let view = InvoiceView::credit_note(note, began, revision);
                insert(transaction, &view, position).await
            }
            Event::Imported(imported) => {
                let (id, legacy) = (imported.invoice_id, &imported.legacy);
                let view = InvoiceView::of_legacy(id, legacy, &imported.state, began, revision);
                insert(transaction, &view, position).await
            }
            Event::Paid(paid) => {
                let change = |view: InvoiceView| view.paid(paid.amount);
                update(transaction, paid.invoice_id, revision, change).await
            }
            Event::Refunded(refunded) => {
                let change = |view: InvoiceView| view.refunded(refunded.amount);
                update(transaction, refunded.invoice_id, revision, change).await
            }
            Event::Voided(voided) => {
                let change = |view: InvoiceView| view.voided(voided.reason, voided.credit_note_id);
                update(transaction, voided.invoice_id, revision, change).await
            }
            Event::Credited(credited) => {
                let (amount, note) = (credited.amount, credited.credit_note_id);
                let change = |view: InvoiceView| view.credited(amount, note);
                update(transaction, credited.invoice_id, revision, change).await
            }
            Event::Deferred(deferred) => {
                update(transaction, deferred.invoice_id, revision, InvoiceView::deferred).await
            }
            Event::CollectionFailed(failed) => {
                let change = |view: InvoiceView| view.collecting(Collection::Failed);
                update(transaction, failed.invoice_id, revision, change).await
            }
            Event::CollectionRequested(requested) => {
                let change = |view: InvoiceView| view.collecting(Collection::UnderWay);
                update(transaction, requested.invoice_id, revision, change).await
            }
            Event::CreditNoteSettled(settled) => {
                update(transaction, settled.invoice_id, revision, InvoiceView::settled).await
            }
            Event::RefundDue(RefundDue { invoice_id, .. })
            | Event::RefundDenied(RefundDenied { invoice_id, .. }) => {
                update(transaction, *invoice_id, revision, |view| view).await
            }
            Event::Revised(revised) => {
                let change = |view: InvoiceView| {
                    let (legacy, began) = (&revised.legacy, view.issued_at);
                    InvoiceView::of_legacy(view.id, legacy, &revised.state, began, revision)
                };
                update(transaction, revised.invoice_id, revision, change).await
            }
        }
    }
}

/// Begins or ends the retention of a customer's documents.
async fn retain(transaction: &mut Transaction, event: &ErasureEvent) -> Result<(), BoxError> {
    match event {
        ErasureEvent::Erased(CustomerErased { customer_id, .. }) => {
            let documents = retention::documents_of(&mut *transaction, *customer_id).await?;
            let last = documents.iter().map(InvoiceView::day).max();
            Ok(retention::begin(transaction, *customer_id, last).await?)
        }
        ErasureEvent::RetentionEnded(RetentionEnded { customer_id }) => {
            for document in retention::documents_of(&mut *transaction, *customer_id).await? {
                invoices::update(transaction, &document.without_personal_data()).await?;
            }
            Ok(retention::end(transaction, *customer_id).await?)
        }
    }
}

async fn insert(
    transaction: &mut Transaction,
    view: &InvoiceView,
    position: Position,
) -> Result<(), BoxError> {
    if retention::prolong(transaction, view).await? {
        let without_personal_data = view.clone().without_personal_data();
        return Ok(invoices::insert(transaction, &without_personal_data, position).await?);
    }
    Ok(invoices::insert(transaction, view, position).await?)
}

async fn update(
    transaction: &mut Transaction,
    id: InvoiceId,
    revision: u64,
    change: impl FnOnce(InvoiceView) -> InvoiceView + Send,
) -> Result<(), BoxError> {
    let view = invoices::find(&mut *transaction, id).await?;
    let view = view.ok_or(Unknown { what: "document", id: id.as_uuid() })?;
    let view = InvoiceView { revision, ..change(view) };
    let ended = retention::prolong(transaction, &view).await?;
    let view = if ended { view.without_personal_data() } else { view };
    Ok(invoices::update(transaction, &view).await?)
}
