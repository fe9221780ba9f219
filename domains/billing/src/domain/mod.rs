//! What an invoice is, what can be asked of it, and what happens then. Pure business.
//!
//! Credit notes are documents of the same kind and have streams of the same category; a document
//! is one or the other for ever. The series that numbers them is in [`series`], how long they say
//! whom they are addressed to in [`retention`].

mod account;
mod collecting;
mod crediting;
mod issuing;
mod legacy;
pub mod retention;
pub mod series;
mod settling;
#[cfg(test)]
mod tests;
mod voiding;

use billing_contract::{
    CollectionFailed, CollectionRequested, CreditNoteIssued, CreditNoteSettled, ImportedInvoice,
    InvoiceCredited, InvoiceDeferred, InvoiceId, InvoiceImported, InvoiceIssued, InvoicePaid,
    InvoiceRefunded, InvoiceRevised, InvoiceVoided, RefundDenied, RefundDue, VoidReason,
};
use event_contract::LegacyReference;
use kernel::decider::{Context, Decider};
use rust_decimal::Decimal;

pub use account::{Account, Credit, IssuedCreditNote};
pub use collecting::{Collect, FailedCollection};
pub use crediting::{CreditRefund, CreditReturn, NewCreditNote};
pub use issuing::IssueAnew;
pub use issuing::IssueInvoice;
pub use legacy::{LegacyInvoice, LegacyReport, LegacyVat, NUMBER_LIKE_OURS};
pub use series::DocumentNumber;
pub use settling::{Receipt, Repayment, SettleCreditNote};
pub use voiding::{IssueCreditNote, VoidInvoice, credit_note_for};

kernel::event_set! {
    /// What happens to an invoice or a credit note.
    pub enum Event {
        Issued(InvoiceIssued),
        Paid(InvoicePaid),
        Voided(InvoiceVoided),
        Deferred(InvoiceDeferred),
        CollectionFailed(CollectionFailed),
        CollectionRequested(CollectionRequested),
        Credited(InvoiceCredited),
        CreditNoteIssued(CreditNoteIssued),
        CreditNoteSettled(CreditNoteSettled),
        RefundDue(RefundDue),
        RefundDenied(RefundDenied),
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
    Issued(Box<Account>),
    /// What is due is paid.
    Paid(Box<Account>),
    /// Credit notes over some of it, together, took back all of it.
    Credited(Box<Account>),
    /// Taken back by a credit note over everything that was left.
    Voided {
        /// What happened to it.
        account: Box<Account>,
        /// Why.
        reason: VoidReason,
    },
    /// A credit note issued here.
    CreditNote(Box<IssuedCreditNote>),
    /// Imported, and decided upon by the legacy system.
    OwnedByLegacy(Box<ImportedHere>),
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
    /// The order is carried out before it is paid: the invoice stays due.
    Defer,
    /// The order is carried out though its invoice was voided for want of a payment: ask again.
    IssueAnew(Box<IssueAnew>),
    /// The payment came to nothing.
    FailCollection(FailedCollection),
    /// Ask for a further payment.
    Collect(Collect),
    /// The invoice no longer stands.
    Void(VoidInvoice),
    /// What was delivered came back.
    CreditReturn(CreditReturn),
    /// Somebody wants to be paid back.
    CreditRefund(CreditRefund),
    /// Issue the credit note that takes back an invoice, or some of it.
    Credit(Box<IssueCreditNote>),
    /// Money that was paid went back.
    Refund(Repayment),
    /// The money of a credit note went back.
    Settle(SettleCreditNote),
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
    /// A voided invoice takes no second payment.
    #[error("the invoice is voided, and holds the money of another payment")]
    AlreadyVoided,
    /// Nothing of the invoice is due any more.
    #[error("nothing is open on the invoice")]
    NothingOpen,
    /// A payment of the invoice has not come to its end.
    #[error("a payment of this invoice is under way; cancel it, or wait for its deadline")]
    CollectionUnderWay,
    /// The order is not carried out before it is paid.
    #[error("the order awaits this payment; cancel the order instead, which voids its invoice")]
    OrderAwaitsPayment,
    /// The invoice has no line of this number.
    #[error("the invoice has no such line")]
    NoSuchLine,
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
    type Id = InvoiceId;
    type State = Invoice;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(invoice: &Invoice, command: Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Issue(request) => issuing::issue(invoice, *request),
            Command::Pay(receipt) => settling::pay(invoice, receipt),
            Command::Defer => collecting::defer(invoice),
            Command::IssueAnew(request) => issuing::issue_anew(invoice, *request),
            Command::FailCollection(failed) => collecting::fail(invoice, failed),
            Command::Collect(request) => collecting::collect(invoice, request),
            Command::Void(request) => voiding::void(invoice, request),
            Command::CreditReturn(request) => crediting::credit_return(invoice, request),
            Command::CreditRefund(request) => crediting::credit_refund(invoice, request),
            Command::Credit(note) => voiding::credit(invoice, *note),
            Command::Refund(repayment) => settling::refund(invoice, repayment),
            Command::Settle(request) => settling::settle(invoice, request),
            Command::Sync(report) => legacy::sync(invoice, *report),
        }
    }

    fn evolve(mut invoice: Invoice, event: &Event) -> Invoice {
        match event {
            Event::Issued(issued) => Invoice::Issued(Box::new(Account::opened(issued.clone()))),
            Event::CreditNoteIssued(note) => {
                let settled = note.to_refund.is_none_or(|amount| amount.is_zero());
                Invoice::CreditNote(Box::new(IssuedCreditNote { document: note.clone(), settled }))
            }
            Event::CreditNoteSettled(_) => {
                if let Invoice::CreditNote(note) = &mut invoice {
                    note.settled = true;
                }
                invoice
            }
            Event::Paid(paid) => invoice.after(|account| account.receive(paid)),
            Event::Deferred(_) => invoice.after(|account| account.deferred = true),
            Event::CollectionFailed(_) => invoice.after(|account| account.collecting = None),
            Event::CollectionRequested(requested) => invoice.after(|account| {
                account.collecting = Some(requested.amount);
                account.attempts = requested.attempt;
            }),
            Event::Credited(credited) => invoice.after(|account| account.credit(credited)),
            Event::RefundDue(due) => invoice.after(|account| account.owe(due)),
            Event::RefundDenied(_) => invoice,
            Event::Refunded(refunded) => invoice.after(|account| account.give_back(refunded)),
            Event::Voided(voided) => match invoice.into_account() {
                Ok(mut account) => {
                    account.void(voided.credit_note_id);
                    Invoice::Voided { account, reason: voided.reason }
                }
                Err(other) => other,
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
    /// What happened to an invoice issued here.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Issued(account)
            | Self::Paid(account)
            | Self::Credited(account)
            | Self::Voided { account, .. } => Some(account),
            Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_) => None,
        }
    }

    /// Whether it was voided because a payment failed: of an order that is carried out all the same
    /// another invoice has to take its place.
    pub fn failed_by_its_payment(&self) -> bool {
        matches!(self, Self::Voided { reason, .. } if voiding::is_of_payment(*reason))
    }

    /// The account of an invoice issued here; anything else stays what it is.
    fn into_account(self) -> Result<Box<Account>, Self> {
        match self {
            Self::Issued(account)
            | Self::Paid(account)
            | Self::Credited(account)
            | Self::Voided { account, .. } => Ok(account),
            other @ (Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_)) => Err(other),
        }
    }

    /// An invoice issued here after something happened to it, at the stage that its sums say.
    fn after(self, happens: impl FnOnce(&mut Account)) -> Self {
        let voided = match &self {
            Self::Voided { reason, .. } => Some(*reason),
            _ => None,
        };
        let mut account = match self.into_account() {
            Ok(account) => account,
            Err(other) => return other,
        };
        happens(&mut account);
        match voided {
            Some(reason) => Self::Voided { account, reason },
            None if account.due().is_zero() => Self::Credited(account),
            None if account.open() <= Decimal::ZERO => Self::Paid(account),
            None => Self::Issued(account),
        }
    }
}
