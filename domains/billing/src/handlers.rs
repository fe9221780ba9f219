//! The commands of billing: policies and routes call them.

use std::sync::Arc;

use billing_contract::{BillTo, CollectionFailure, InvoiceId, VoidReason};
use chrono::Datelike as _;
use database::Database;
use event_contract::Personal;
use kernel::codec::CodecError;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{
    Cause, Environment, ExecuteError, Executed, ExpectedAt, LoadError, Loaded, UnitOfWork,
};
use kernel::keys::KeyHolder;
use kernel::projection::Progress;
use kernel::store::AppendError;
use orders_contract::{OrderId, OrderPlaced, OrderReturned};
use payments_contract::{PaymentId, RefundId, RefundLine, RefundProposed};
use uuid::Uuid;

use crate::NAME;
use crate::domain::series::{NumberTaken, SeriesDecider, TakeNumber, take};
use crate::domain::{
    Collect, Command, CreditRefund, CreditReturn, FailedCollection, InvoiceDecider, IssueAnew,
    IssueInvoice, NewCreditNote, Receipt, Refusal, Repayment, SettleCreditNote, VoidInvoice,
    credit_note_for,
};
use crate::numbering::{Numbering, numbering};
use crate::settings::BillingSettings;

/// The commands of billing. Cheap to clone.
#[derive(Clone)]
pub struct Billing {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    settings: BillingSettings,
    /// Progress of the invoice views.
    pub(crate) views: Progress,
    /// Progress of the known customers.
    pub(crate) known_customers: Progress,
    /// Documents that wait for their numbers.
    pub(crate) numbering: Arc<Numbering>,
}

/// The error of a command on a document.
pub type Error = ExecuteError<Refusal>;

/// Returns the id of an order's invoice: always the same for the same order.
pub fn invoice_of(order_id: OrderId) -> InvoiceId {
    derived(order_id, "invoice").into()
}

/// Returns the id of the invoice that replaces one that was voided by a failed payment although its
/// order is carried out.
pub fn replacement_of(invoice_id: InvoiceId) -> InvoiceId {
    derived(invoice_id, "replacement").into()
}

/// Returns the id of the credit note that would void an invoice issued here.
pub fn credit_note_of(invoice_id: InvoiceId) -> InvoiceId {
    derived(invoice_id, "credit-note").into()
}

/// Returns the id of the credit note over a return, given the return's number among those of the order.
pub fn credit_note_of_return(invoice_id: InvoiceId, number: u32) -> InvoiceId {
    derived(invoice_id, &format!("return/{number}")).into()
}

/// Returns the id of the credit note over a refund.
pub fn credit_note_of_refund(invoice_id: InvoiceId, refund_id: RefundId) -> InvoiceId {
    derived(invoice_id, &format!("refund/{refund_id}")).into()
}

/// Returns the id of the refund of what a payment brought above the amount due.
pub(crate) fn refund_of_surplus(payment_id: PaymentId) -> RefundId {
    derived(payment_id, "surplus").into()
}

/// Returns the id of the refund that pays out a credit note.
fn refund_of(credit_note_id: InvoiceId) -> RefundId {
    derived(credit_note_id, "refund").into()
}

fn derived(id: impl Into<Uuid>, name: &str) -> Uuid {
    Uuid::new_v5(&id.into(), name.as_bytes())
}

/// A document that waits for a number.
#[derive(Clone)]
pub(crate) enum PendingDocument {
    Invoice { order: OrderPlaced, bill_to: Option<Personal<BillTo>> },
    Replacement { of: InvoiceId },
    CreditNote(PendingCreditNote),
}

/// A command on an invoice that may produce a credit note.
#[derive(Clone)]
pub(crate) struct PendingCreditNote {
    invoice: InvoiceId,
    credit_note_id: InvoiceId,
    /// Builds the command on the invoice from the credit note.
    command: Arc<dyn Fn(NewCreditNote) -> Command + Send + Sync>,
    expected: Option<ExpectedAt>,
}

impl Billing {
    /// Returns the commands on an environment and the database of its read models.
    pub fn new(
        environment: Environment,
        database: Database,
        settings: BillingSettings,
        views: Progress,
        known_customers: Progress,
    ) -> Self {
        let numbering = Arc::new(numbering());
        Self { environment, database, settings, views, known_customers, numbering }
    }

    /// Issues the invoice of an order.
    pub async fn issue(
        &self,
        order: &OrderPlaced,
        bill_to: Option<Personal<BillTo>>,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        if bill_to.is_some() {
            // Fetches the key before the document joins a run: fetching it there delays the whole run.
            let (subject, purpose) = (order.customer_id, NAME.to_owned());
            let key = self.environment.codec.fetch_key(KeyHolder { subject, purpose });
            key.await.map_err(CodecError::from)?;
        }
        self.number(PendingDocument::Invoice { order: order.clone(), bill_to }, cause).await
    }

    /// Keeps the invoice of an order due even if its payment fails. If a failed payment has just voided
    /// the invoice, a replacement is issued.
    pub async fn defer(&self, order_id: OrderId, cause: &Cause) -> Result<Executed, Error> {
        let id = invoice_of(order_id);
        let command = Command::Defer;
        let deferred = self.environment.execute::<InvoiceDecider>(id, command, cause, None).await?;
        let invoice = self.environment.load::<InvoiceDecider>(id).await?;
        if !invoice.state.failed_by_its_payment() {
            return Ok(deferred);
        }
        // A voided invoice stays voided, so no concurrent writer can have changed this.
        self.number(PendingDocument::Replacement { of: id }, cause).await
    }

    /// Returns the invoice that is valid for an order: its replacement if there is one.
    pub async fn standing_invoice(&self, order_id: OrderId) -> Result<InvoiceId, LoadError> {
        let id = invoice_of(order_id);
        let invoice = self.environment.load::<InvoiceDecider>(id).await?;
        Ok(if invoice.state.failed_by_its_payment() { replacement_of(id) } else { id })
    }

    /// Voids an invoice by a credit note over its whole remaining amount.
    pub async fn void(
        &self,
        id: InvoiceId,
        reason: VoidReason,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.void_at(id, reason, cause, None).await
    }

    /// Gives up the open amount of an invoice whose order is carried out.
    pub async fn write_off(
        &self,
        id: InvoiceId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.void_at(id, VoidReason::WrittenOff, cause, expected).await
    }

    async fn void_at(
        &self,
        id: InvoiceId,
        reason: VoidReason,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = move |note| Command::Void(VoidInvoice { reason, note });
        self.credit(id, credit_note_of(id), command, cause, expected).await
    }

    /// Records that a payment failed. If the order waits for the payment, its invoice is voided.
    pub async fn fail_collection(
        &self,
        id: InvoiceId,
        payment_id: PaymentId,
        failure: CollectionFailure,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let command = move |note| {
            Command::FailCollection(FailedCollection { payment_id, cause: failure, note })
        };
        self.credit(id, credit_note_of(id), command, cause, None).await
    }

    /// Requests a further payment of the open amount of an invoice.
    pub async fn collect(
        &self,
        id: InvoiceId,
        payment_method: String,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = Command::Collect(Collect { payment_method });
        self.environment.execute::<InvoiceDecider>(id, command, cause, expected).await
    }

    /// Credits returned goods.
    pub async fn credit_return(
        &self,
        id: InvoiceId,
        returned: &OrderReturned,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let lines = returned.lines.iter();
        let lines = lines.map(|line| RefundLine { line: line.line, quantity: line.quantity });
        let (lines, complete): (Vec<_>, _) = (lines.collect(), returned.complete);
        let credit_note_id = credit_note_of_return(id, returned.number);
        let command = move |note| {
            let refund_id = refund_of(credit_note_id);
            Command::CreditReturn(CreditReturn { lines: lines.clone(), complete, note, refund_id })
        };
        self.credit(id, credit_note_id, command, cause, None).await
    }

    /// Credits a proposed refund, or records why it is denied.
    pub async fn credit_refund(
        &self,
        proposed: &RefundProposed,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let (id, payment_id) = (InvoiceId::from(proposed.invoice_id), proposed.payment_id);
        let (refund_id, scope) = (proposed.refund_id, proposed.scope.clone());
        let command = move |note| {
            let scope = scope.clone();
            Command::CreditRefund(CreditRefund { payment_id, refund_id, scope, note })
        };
        self.credit(id, credit_note_of_refund(id, refund_id), command, cause, None).await
    }

    async fn credit(
        &self,
        invoice: InvoiceId,
        credit_note_id: InvoiceId,
        command: impl Fn(NewCreditNote) -> Command + Send + Sync + 'static,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = Arc::new(command);
        let pending = PendingCreditNote { invoice, credit_note_id, command, expected };
        self.number(PendingDocument::CreditNote(pending), cause).await
    }

    /// Records a payment.
    pub async fn pay(
        &self,
        id: InvoiceId,
        receipt: Receipt,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.environment.execute::<InvoiceDecider>(id, Command::Pay(receipt), cause, None).await
    }

    /// Records a refund, and settles the credit note that it pays out.
    pub async fn refund(
        &self,
        id: InvoiceId,
        repayment: Repayment,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let repayment = &repayment;
        let attempt = self.environment.in_unit(cause, |work| {
            Box::pin(async move {
                let invoice = work.load::<InvoiceDecider>(id).await?;
                let command = Command::Refund(repayment.clone());
                let events = work.decide(&invoice, &command, None).await?;
                let settled = invoice.state.account().filter(|_| !events.is_empty());
                let settled = settled
                    .and_then(|account| account.settled_by(repayment.refund_id, repayment.amount));
                if let Some(credit_note_id) = settled {
                    let note = work.load::<InvoiceDecider>(credit_note_id).await?;
                    let payment_id = repayment.payment_id;
                    let command = Command::Settle(SettleCreditNote { credit_note_id, payment_id });
                    work.also_decide(&note, command).await?;
                }
                Ok(invoice)
            })
        });
        let (invoice, committed) = attempt.await?;
        Ok(committed.executed(&invoice))
    }

    /// Decides on a document and takes its number, as part of a run.
    pub(crate) async fn record(
        &self,
        work: &mut UnitOfWork<'_>,
        document: &PendingDocument,
    ) -> Result<Arc<Loaded<InvoiceDecider>>, Error> {
        match document {
            PendingDocument::Invoice { order, bill_to } => {
                self.record_issue(work, order, bill_to.clone()).await
            }
            PendingDocument::Replacement { of } => self.record_replacement(work, *of).await,
            PendingDocument::CreditNote(pending) => self.record_credit(work, pending).await,
        }
    }

    async fn record_issue(
        &self,
        work: &mut UnitOfWork<'_>,
        order: &OrderPlaced,
        bill_to: Option<Personal<BillTo>>,
    ) -> Result<Arc<Loaded<InvoiceDecider>>, Error> {
        let invoice_id = invoice_of(order.order_id);
        let invoice = work.load_new::<InvoiceDecider>(invoice_id).await?;
        let next = self.next_number(work, invoice_id).await?;
        let order = order.clone();
        let request = IssueInvoice { invoice_id, number: (&next.taken).into(), order, bill_to };
        let events = work.decide(&invoice, &Command::Issue(Box::new(request)), None).await?;
        if !events.is_empty() {
            next.take(work).await?;
        }
        Ok(invoice)
    }

    async fn record_replacement(
        &self,
        work: &mut UnitOfWork<'_>,
        of: InvoiceId,
    ) -> Result<Arc<Loaded<InvoiceDecider>>, Error> {
        let voided = work.load::<InvoiceDecider>(of).await?;
        let invoice_id = replacement_of(of);
        let replacement = work.load_new::<InvoiceDecider>(invoice_id).await?;
        let account = voided.state.account().filter(|_| voided.state.failed_by_its_payment());
        let Some(account) = account else { return Ok(replacement) };
        let next = self.next_number(work, invoice_id).await?;
        let (number, voided) = ((&next.taken).into(), account.invoice.clone());
        let command = Command::IssueAnew(Box::new(IssueAnew { invoice_id, number, voided }));
        let events = work.decide(&replacement, &command, None).await?;
        if !events.is_empty() {
            next.take(work).await?;
        }
        Ok(replacement)
    }

    async fn record_credit(
        &self,
        work: &mut UnitOfWork<'_>,
        pending: &PendingCreditNote,
    ) -> Result<Arc<Loaded<InvoiceDecider>>, Error> {
        let PendingCreditNote { invoice, credit_note_id, command, expected } = pending;
        // Loads the credit note before the invoice. Both are recorded at once, so if this process sees
        // the credit note it also sees the invoice's events, and nothing remains to be decided.
        let credit_note = work.load_new::<InvoiceDecider>(*credit_note_id).await?;
        let invoice = work.load::<InvoiceDecider>(*invoice).await?;
        let next = self.next_number(work, *credit_note_id).await?;
        let number = next.taken.number.clone();
        let command = command(NewCreditNote { credit_note_id: *credit_note_id, number });
        let events = work.decide(&invoice, &command, expected.as_ref()).await?;
        let Some(note) = credit_note_for(&invoice.state, &events, (&next.taken).into()) else {
            return Ok(invoice);
        };
        work.also_decide(&credit_note, Command::Credit(Box::new(note))).await?;
        next.take(work).await?;
        Ok(invoice)
    }

    /// Returns the number that a document would take now. The number is taken when the unit is
    /// committed.
    async fn next_number(
        &self,
        work: &mut UnitOfWork<'_>,
        invoice_id: InvoiceId,
    ) -> Result<NextNumber, Error> {
        let today = self.settings.day_of(work.context.now);
        let year = today.year();
        let stream = StreamName::new(format!("{}-{year:04}", SeriesDecider::CATEGORY))
            .map_err(|error| AppendError::Invalid(error.to_string()))?;
        let series = work.load_last::<SeriesDecider>(stream).await?;
        let request = TakeNumber { year, last_revision: series.revision, today, invoice_id };
        let taken = take(&series.state, request.clone());
        Ok(NextNumber { series, request, taken })
    }
}

/// The next number of a series, before a document takes it.
struct NextNumber {
    series: Arc<Loaded<SeriesDecider>>,
    request: TakeNumber,
    taken: NumberTaken,
}

impl NextNumber {
    async fn take(self, work: &mut UnitOfWork<'_>) -> Result<(), Error> {
        let taken = work.also_decide(&self.series, self.request).await;
        taken.map_err(|error| error.map_refusal(|never| match never {}))?;
        Ok(())
    }
}
