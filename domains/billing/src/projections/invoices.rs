//! Every invoice and credit note, as the API shows it.

use async_trait::async_trait;
use billing_contract::InvoiceId;
use database::{Database, Transaction};
use kernel::codec::Envelope;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;

use crate::domain::Event;
use crate::queries;
use crate::view::InvoiceView;

/// Keeps the view of every document.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceViews;

#[async_trait]
impl Projection for InvoiceViews {
    type Store = Database;
    type Event = Event;

    fn name(&self) -> &'static str {
        "billing.invoices"
    }

    fn version(&self) -> u32 {
        1
    }

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Event>,
    ) -> Result<(), BoxError> {
        let revision = event.recorded.revision;
        let position = event.recorded.position;
        let began = event.recorded.metadata.occurred_at;
        match &event.event {
            Event::Issued(invoice) => {
                let view = InvoiceView::issued(invoice, began, revision);
                Ok(queries::insert_invoice(transaction, &view, position).await?)
            }
            Event::CreditNoteIssued(note) => {
                let view = InvoiceView::credit_note(note, began, revision);
                Ok(queries::insert_invoice(transaction, &view, position).await?)
            }
            Event::Imported(imported) => {
                let (id, legacy) = (imported.invoice_id, &imported.legacy);
                let view = InvoiceView::of_legacy(id, legacy, &imported.state, began, revision);
                Ok(queries::insert_invoice(transaction, &view, position).await?)
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

async fn update(
    transaction: &mut Transaction,
    id: InvoiceId,
    revision: u64,
    change: impl FnOnce(InvoiceView) -> InvoiceView + Send,
) -> Result<(), BoxError> {
    let view =
        queries::invoice(&mut *transaction, id).await?.ok_or(Unknown { what: "document", id })?;
    let view = InvoiceView { revision, ..change(view) };
    queries::update_invoice(transaction, &view).await?;
    Ok(())
}
