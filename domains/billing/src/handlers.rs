//! Commands in: what policies and tests ask of billing goes through here.

use std::sync::Arc;

use billing_contract::{BillTo, InvoiceId, VoidReason};
use chrono::Datelike as _;
use database::Database;
use event_contract::Personal;
use kernel::codec::CodecError;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment, ExecuteError, Executed, Loaded, UnitOfWork};
use kernel::keys::KeyHolder;
use kernel::projection::Progress;
use kernel::store::AppendError;
use orders_contract::{OrderId, OrderPlaced};
use uuid::Uuid;

use crate::NAME;
use crate::domain::series::{NumberTaken, SeriesDecider, TakeNumber, take};
use crate::domain::{
    Command, CreditNote, InvoiceDecider, IssueInvoice, Receipt, Refusal, Repayment, VoidInvoice,
};
use crate::numbering::Numbering;
use crate::settings::BillingSettings;

/// The billing of this process. Cheap to clone.
#[derive(Clone)]
pub struct Billing {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    settings: BillingSettings,
    /// How far the invoice views have come.
    pub(crate) views: Progress,
    /// How far the known customers have come.
    pub(crate) known_customers: Progress,
    /// The documents that wait for their numbers.
    pub(crate) numbering: Arc<Numbering>,
}

/// What a command on one document gives.
pub type Outcome = Result<Executed, ExecuteError<Refusal>>;

/// The invoice of an order placed here. The same order always has the same one.
pub fn invoice_of(order_id: OrderId) -> InvoiceId {
    Uuid::new_v5(&order_id, b"invoice")
}

/// The credit note that voids an invoice issued here, should it come to that.
pub fn credit_note_of(invoice_id: InvoiceId) -> InvoiceId {
    Uuid::new_v5(&invoice_id, b"credit-note")
}

/// The document that was decided on.
pub(crate) type Decided = Result<Arc<Loaded<InvoiceDecider>>, ExecuteError<Refusal>>;

/// A document that needs a number.
#[derive(Debug, Clone)]
pub(crate) enum Numbered {
    Invoice { order: OrderPlaced, bill_to: Option<Personal<BillTo>> },
    CreditNote { voids: InvoiceId, reason: VoidReason },
}

impl Billing {
    /// The billing of an environment, with its read models.
    pub fn new(
        environment: Environment,
        database: Database,
        settings: BillingSettings,
        views: Progress,
        known_customers: Progress,
    ) -> Self {
        let numbering = Arc::default();
        Self { environment, database, settings, views, known_customers, numbering }
    }

    /// Issues the invoice of an order.
    pub async fn issue(
        &self,
        order: &OrderPlaced,
        bill_to: Option<Personal<BillTo>>,
        cause: &Cause,
    ) -> Outcome {
        if bill_to.is_some() {
            // Others wait while a document is sealed.
            let (subject, purpose) = (order.customer_id, NAME.to_owned());
            let key = self.environment.codec.fetch_key(KeyHolder { subject, purpose });
            key.await.map_err(CodecError::from)?;
        }
        self.number(Numbered::Invoice { order: order.clone(), bill_to }, cause).await
    }

    /// Voids an invoice by a credit note over its whole sum.
    pub async fn void(&self, id: InvoiceId, reason: VoidReason, cause: &Cause) -> Outcome {
        self.number(Numbered::CreditNote { voids: id, reason }, cause).await
    }

    /// Records that the money came.
    pub async fn pay(&self, id: InvoiceId, receipt: Receipt, cause: &Cause) -> Outcome {
        self.environment.execute::<InvoiceDecider>(id, Command::Pay(receipt), cause, None).await
    }

    /// Records that money went back.
    pub async fn refund(&self, id: InvoiceId, repayment: Repayment, cause: &Cause) -> Outcome {
        let command = Command::Refund(repayment);
        self.environment.execute::<InvoiceDecider>(id, command, cause, None).await
    }

    /// Decides on a document and takes its number, as one of those that are numbered together.
    pub(crate) async fn record(&self, work: &mut UnitOfWork<'_>, document: &Numbered) -> Decided {
        match document {
            Numbered::Invoice { order, bill_to } => {
                self.record_issue(work, order, bill_to.clone()).await
            }
            Numbered::CreditNote { voids, reason } => self.record_void(work, *voids, *reason).await,
        }
    }

    async fn record_issue(
        &self,
        work: &mut UnitOfWork<'_>,
        order: &OrderPlaced,
        bill_to: Option<Personal<BillTo>>,
    ) -> Decided {
        let invoice_id = invoice_of(order.order_id);
        let invoice = work.load_new::<InvoiceDecider>(invoice_id).await?;
        let (series, taken) = self.next_number(work, invoice_id).await?;
        let order = order.clone();
        let request = IssueInvoice { invoice_id, number: (&taken).into(), order, bill_to };
        let events = work.decide(&invoice, &Command::Issue(Box::new(request)), None).await?;
        if !events.is_empty() {
            work.record(&series, &[taken.into()]).await?;
        }
        Ok(invoice)
    }

    async fn record_void(
        &self,
        work: &mut UnitOfWork<'_>,
        id: InvoiceId,
        reason: VoidReason,
    ) -> Decided {
        let credit_note_id = credit_note_of(id);
        // Before the invoice: both are recorded at once, so whoever sees a credit note of this
        // invoice then sees the invoice voided, and has nothing left to decide about either.
        let credit_note = work.load_new::<InvoiceDecider>(credit_note_id).await?;
        let invoice = work.load::<InvoiceDecider>(id).await?;
        let (series, taken) = self.next_number(work, credit_note_id).await?;
        let credit_note_number = taken.number.clone();
        let request = VoidInvoice { reason, credit_note_id, credit_note_number };
        let events = work.decide(&invoice, &Command::Void(request), None).await?;
        let Some(voids) = invoice.state.document().filter(|_| !events.is_empty()).cloned() else {
            return Ok(invoice);
        };
        let note = CreditNote { credit_note_id, number: (&taken).into(), voids };
        let command = Command::Credit(Box::new(note));
        let issued = InvoiceDecider::decide(&credit_note.state, command, &work.context)
            .map_err(ExecuteError::Refused)?;
        work.record(&credit_note, &issued).await?;
        work.record(&series, &[taken.into()]).await?;
        Ok(invoice)
    }

    /// The number a document would take now. Nothing is taken before the unit is committed.
    async fn next_number(
        &self,
        work: &mut UnitOfWork<'_>,
        invoice_id: InvoiceId,
    ) -> Result<(Arc<Loaded<SeriesDecider>>, NumberTaken), ExecuteError<Refusal>> {
        let today = self.settings.day_of(work.context.now);
        let year = today.year();
        let stream = StreamName::new(format!("{}-{year:04}", SeriesDecider::CATEGORY))
            .map_err(|error| AppendError::Invalid(error.to_string()))?;
        let series = work.load_last::<SeriesDecider>(stream).await?;
        let request = TakeNumber { year, last_revision: series.revision, today, invoice_id };
        let taken = take(&series.state, request);
        Ok((series, taken))
    }
}
