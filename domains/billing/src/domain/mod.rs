//! What an invoice is, what can be asked of it, and what happens then. Pure business.
//!
//! Credit notes are documents of the same kind and have streams of the same category; a document
//! is one or the other for ever. The series that numbers them is in [`series`], how long they say
//! whom they are addressed to in [`retention`].

mod issuing;
mod legacy;
pub mod retention;
pub mod series;
mod settling;
#[cfg(test)]
mod tests;
mod voiding;

use billing_contract::{
    CreditNoteIssued, ImportedInvoice, InvoiceImported, InvoiceIssued, InvoicePaid,
    InvoiceRefunded, InvoiceRevised, InvoiceVoided,
};
use event_contract::LegacyReference;
use kernel::decider::{Context, Decider};
use rust_decimal::Decimal;
use uuid::Uuid;

pub use issuing::IssueInvoice;
pub use legacy::{LegacyInvoice, LegacyReport, LegacyVat, NUMBER_LIKE_OURS};
pub use series::DocumentNumber;
pub use settling::{Receipt, Repayment};
pub use voiding::{CreditNote, VoidInvoice};

kernel::event_set! {
    /// What happens to an invoice or a credit note.
    pub enum Event {
        Issued(InvoiceIssued),
        Paid(InvoicePaid),
        Voided(InvoiceVoided),
        CreditNoteIssued(CreditNoteIssued),
        Refunded(InvoiceRefunded),
        Imported(InvoiceImported),
        Revised(InvoiceRevised),
    }
}

/// What a document is at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Invoice {
    /// Nothing yet.
    #[default]
    NotIssued,
    /// Issued here and waiting for its payment.
    Issued(Box<InvoiceIssued>),
    /// Paid in full.
    Paid(Box<InvoiceIssued>, Settlement),
    /// It was paid and the money went back, but it stands: nobody voided it.
    Refunded(Box<InvoiceIssued>),
    /// Taken back by a credit note.
    Voided {
        /// The invoice as it was issued.
        invoice: Box<InvoiceIssued>,
        /// The money that was paid on it and has not gone back yet.
        held: Option<Settlement>,
    },
    /// A credit note issued here. Nothing more happens to it.
    CreditNote(Box<CreditNoteIssued>),
    /// Imported, and decided upon by the legacy system.
    OwnedByLegacy(Box<ImportedHere>),
}

/// Which payment settled an invoice.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The payment.
    pub payment_id: Uuid,
    /// What was paid.
    pub amount: Decimal,
}

/// An imported document as it was last reported.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedHere {
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said last, with our own flags.
    pub state: ImportedInvoice,
}

/// What can be asked of a document.
#[derive(Debug, Clone)]
pub enum Command {
    /// An order was placed: ask for the money.
    Issue(Box<IssueInvoice>),
    /// The money came.
    Pay(Receipt),
    /// The invoice no longer stands.
    Void(VoidInvoice),
    /// Issue the credit note that voids an invoice.
    Credit(Box<CreditNote>),
    /// Money that was paid went back.
    Refund(Repayment),
    /// The legacy system says how it stands there.
    Sync(Box<LegacyReport>),
}

/// Why a document says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no document of this id.
    #[error("there is no such invoice")]
    NoSuchInvoice,
    /// The id was used for a document before.
    #[error("this document was issued before")]
    AlreadyIssued,
    /// A credit note can be neither paid nor voided.
    #[error("the document is a credit note")]
    IsCreditNote,
    /// The currency is none of ISO 4217.
    #[error("the order's currency is not known")]
    UnknownCurrency,
    /// The amounts are beyond what can be computed with.
    #[error("the invoice's total is too large to be computed exactly")]
    TotalTooLarge,
    /// The order says something else than its lines add up to.
    #[error("the order's lines come to {computed}, but the order says {stated}")]
    TotalsDisagree {
        /// What the lines add up to.
        computed: Decimal,
        /// What the order says.
        stated: Decimal,
    },
    /// Only the whole sum settles an invoice.
    #[error("{expected} is to be paid, not {found}")]
    AmountDiffers {
        /// With its currency, what the invoice is over.
        expected: String,
        /// With its currency, what came.
        found: String,
    },
    /// A second payment came for the same invoice.
    #[error("the invoice was paid by another payment")]
    PaidByAnother,
    /// A payment that failed does not void an invoice that is paid.
    #[error("the invoice is paid")]
    AlreadyPaid,
    /// A voided invoice stays voided.
    #[error("the invoice is voided")]
    AlreadyVoided,
    /// Money can go back only where it came.
    #[error("nothing was paid on the invoice")]
    NotPaid,
    /// The legacy system decides about this document.
    #[error("the legacy system owns this document; change it there")]
    OwnedByLegacy,
    /// bascule decides about this document: the legacy system's word no longer counts.
    #[error("the document is not the legacy system's")]
    OwnedByBascule,
    /// The legacy system does not say what no document can be without.
    #[error("`{field}` is missing")]
    IncompleteReport {
        /// What is missing.
        field: &'static str,
    },
}

/// Decides about invoices and credit notes.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceDecider;

impl Decider for InvoiceDecider {
    const CATEGORY: &'static str = "invoice";
    type State = Invoice;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(invoice: &Invoice, command: Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Issue(request) => issuing::issue(invoice, *request),
            Command::Pay(receipt) => settling::pay(invoice, receipt),
            Command::Void(request) => voiding::void(invoice, request),
            Command::Credit(note) => voiding::credit(invoice, *note),
            Command::Refund(repayment) => settling::refund(invoice, repayment),
            Command::Sync(report) => legacy::sync(invoice, *report),
        }
    }

    fn evolve(invoice: Invoice, event: &Event) -> Invoice {
        match event {
            Event::Issued(issued) => Invoice::Issued(Box::new(issued.clone())),
            Event::CreditNoteIssued(note) => Invoice::CreditNote(Box::new(note.clone())),
            Event::Paid(paid) => {
                let InvoicePaid { payment_id, amount, .. } = *paid;
                invoice.with_document(|document| {
                    Invoice::Paid(document, Settlement { payment_id, amount })
                })
            }
            Event::Voided(_) => {
                let held = invoice.held().cloned();
                invoice.with_document(|invoice| Invoice::Voided { invoice, held })
            }
            Event::Refunded(_) => match invoice {
                Invoice::Voided { invoice, .. } => Invoice::Voided { invoice, held: None },
                standing => standing.with_document(Invoice::Refunded),
            },
            Event::Imported(InvoiceImported { legacy, state, .. })
            | Event::Revised(InvoiceRevised { legacy, state, .. }) => {
                let (legacy, state) = (legacy.clone(), state.clone());
                Invoice::OwnedByLegacy(Box::new(ImportedHere { legacy, state }))
            }
        }
    }
}

impl Invoice {
    /// The invoice as it was issued here.
    pub fn document(&self) -> Option<&InvoiceIssued> {
        match self {
            Self::Issued(document)
            | Self::Paid(document, _)
            | Self::Refunded(document)
            | Self::Voided { invoice: document, .. } => Some(document),
            Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_) => None,
        }
    }

    /// The money that was paid and has not gone back.
    fn held(&self) -> Option<&Settlement> {
        match self {
            Self::Paid(_, settlement) => Some(settlement),
            Self::Voided { held, .. } => held.as_ref(),
            _ => None,
        }
    }

    /// The next stage of an invoice issued here; anything else stays what it is.
    fn with_document(self, next: impl FnOnce(Box<InvoiceIssued>) -> Self) -> Self {
        match self {
            Self::Issued(document)
            | Self::Paid(document, _)
            | Self::Refunded(document)
            | Self::Voided { invoice: document, .. } => next(document),
            other @ (Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_)) => other,
        }
    }
}
