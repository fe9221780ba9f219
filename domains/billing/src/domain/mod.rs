//! The states, commands and events of invoices and credit notes. Pure.
//!
//! Invoices and credit notes are documents with streams of the same category; a document never changes
//! its kind. [`series`] numbers them, and [`retention`] determines how long they name their customer.

mod account;
mod collecting;
mod crediting;
mod imported;
mod issuing;
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
pub use imported::{LegacyInvoice, LegacyReport, LegacyVat, NUMBER_LIKE_OURS};
pub use issuing::IssueAnew;
pub use issuing::IssueInvoice;
pub use series::DocumentNumber;
pub use settling::{Receipt, Repayment, SettleCreditNote};
pub use voiding::{IssueCreditNote, VoidInvoice, credit_note_for};

kernel::event_set! {
    /// The events of an invoice or credit note.
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

/// The state of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Invoice {
    /// The document does not exist.
    #[default]
    NotIssued,
    /// Issued here, with an open amount.
    Issued(Box<Account>),
    /// The amount due is paid.
    Paid(Box<Account>),
    /// Several partial credit notes took back the whole invoice.
    Credited(Box<Account>),
    /// A credit note over the whole remaining amount voided the invoice.
    Voided {
        /// Account of the invoice.
        account: Box<Account>,
        /// Reason of the voiding.
        reason: VoidReason,
    },
    /// A credit note issued here.
    CreditNote(Box<IssuedCreditNote>),
    /// An imported document; the legacy system decides about it.
    OwnedByLegacy(Box<ImportedHere>),
}

/// The last reported state of an imported document.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedHere {
    /// Origin in the legacy system.
    pub legacy: LegacyReference,
    /// State in the legacy system, with the flags of this module.
    pub state: ImportedInvoice,
}

/// The commands on a document.
#[derive(Debug, Clone)]
pub enum Command {
    /// Issues the invoice of an order.
    Issue(Box<IssueInvoice>),
    /// Records a payment.
    Pay(Receipt),
    /// Keeps the invoice due although its order is carried out before it is paid.
    Defer,
    /// Issues a replacement: the order is carried out although a failed payment voided its invoice.
    IssueAnew(Box<IssueAnew>),
    /// Records a failed payment.
    FailCollection(FailedCollection),
    /// Requests a further payment.
    Collect(Collect),
    /// Voids an invoice.
    Void(VoidInvoice),
    /// Credits a return.
    CreditReturn(CreditReturn),
    /// Credits a proposed refund.
    CreditRefund(CreditRefund),
    /// Issues a credit note over an invoice or part of it.
    Credit(Box<IssueCreditNote>),
    /// Records a refund.
    Refund(Repayment),
    /// Settles a credit note whose money was refunded.
    Settle(SettleCreditNote),
    /// Takes the state from a legacy system.
    Sync(Box<LegacyReport>),
}

/// The reason why a command on a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document does not exist.
    #[error("there is no such invoice")]
    NoSuchInvoice,
    /// The id belongs to another document.
    #[error("the document was already issued")]
    AlreadyIssued,
    /// A credit note can be neither paid nor voided.
    #[error("the document is a credit note")]
    IsCreditNote,
    /// The currency is not in ISO 4217.
    #[error("the order's currency is unknown")]
    UnknownCurrency,
    /// The amounts exceed the range of exact computation.
    #[error("the invoice's total is too large to be computed exactly")]
    TotalTooLarge,
    /// The order's totals differ from those of its lines.
    #[error("the order's lines total {computed}, but the order states {stated}")]
    TotalsDisagree {
        /// Total of the lines.
        computed: Decimal,
        /// Total stated by the order.
        stated: Decimal,
    },
    /// The amount or currency of a payment or refund differs from the expected one.
    #[error("expected {expected}, received {found}")]
    AmountDiffers {
        /// Expected amount with its currency.
        expected: String,
        /// Received amount with its currency.
        found: String,
    },
    /// Another payment settled the invoice.
    #[error("the invoice was paid by another payment")]
    PaidByAnother,
    /// A failed payment does not void a paid invoice.
    #[error("the invoice is paid")]
    AlreadyPaid,
    /// A voided invoice takes no second payment.
    #[error("the invoice is voided, and holds the money of another payment")]
    AlreadyVoided,
    /// The invoice has no open amount.
    #[error("the invoice has no open amount")]
    NothingOpen,
    /// A payment of the invoice is under way.
    #[error("a payment of this invoice is under way; cancel it, or wait for its deadline")]
    CollectionUnderWay,
    /// The order waits for the payment.
    #[error("the order awaits this payment; cancel the order instead, which voids its invoice")]
    OrderAwaitsPayment,
    /// The invoice has no line of this number.
    #[error("the invoice has no such line")]
    NoSuchLine,
    /// Only received money can be refunded.
    #[error("nothing was paid on the invoice")]
    NotPaid,
    /// The legacy system owns the document.
    #[error("the legacy system owns this document; change it there")]
    OwnedByLegacy,
    /// This system owns the document.
    #[error("bascule owns this document; the legacy system cannot change it")]
    OwnedByBascule,
    /// A report lacks a required field.
    #[error("`{field}` is missing")]
    IncompleteReport {
        /// Name of the field.
        field: &'static str,
    },
}

/// Decides about invoices and credit notes: stream `invoice-<id>`.
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
            Command::Sync(report) => imported::sync(invoice, *report),
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
    /// Returns the account of an invoice issued here.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Issued(account)
            | Self::Paid(account)
            | Self::Credited(account)
            | Self::Voided { account, .. } => Some(account),
            Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_) => None,
        }
    }

    /// Returns whether a failed payment voided the invoice. If its order is carried out all the same,
    /// another invoice replaces it.
    pub fn failed_by_its_payment(&self) -> bool {
        matches!(self, Self::Voided { reason, .. } if voiding::is_of_payment(*reason))
    }

    /// Returns the account of an invoice issued here, or else the unchanged state.
    fn into_account(self) -> Result<Box<Account>, Self> {
        match self {
            Self::Issued(account)
            | Self::Paid(account)
            | Self::Credited(account)
            | Self::Voided { account, .. } => Ok(account),
            other @ (Self::NotIssued | Self::CreditNote(_) | Self::OwnedByLegacy(_)) => Err(other),
        }
    }

    /// Changes the account of an invoice issued here, and derives the state from its amounts.
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
