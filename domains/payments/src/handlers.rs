//! The commands of payments: routes, the policy and the reactor call them.

use std::time::Duration;

use billing_contract::{DenialReason, InvoiceId, RefundDenied, RefundDue};
use chrono::{DateTime, Utc};
use kernel::event::RecordedEvent;
use kernel::execution::{
    Cause, Environment, ExecuteError, Executed, ExpectedAt, LoadError, Loaded,
};
use payments_contract::{PaymentId, PaymentRequested, RefundId, RefundScope};
use uuid::Uuid;

use crate::domain::{Command, PaymentDecider, Refusal};

/// The error of a command on a payment.
pub type Error = ExecuteError<Refusal>;

/// The commands of payments. Cheap to clone.
#[derive(Clone)]
pub struct Payments {
    pub(crate) environment: Environment,
}

/// Returns the id of the first payment of an invoice, usually the only one.
pub fn payment_of(invoice_id: InvoiceId) -> PaymentId {
    Uuid::new_v5(&invoice_id.as_uuid(), b"payment").into()
}

/// Returns the id of a payment of an invoice, given its number from 1.
pub fn attempt_of(invoice_id: InvoiceId, attempt: u32) -> PaymentId {
    match attempt {
        0 | 1 => payment_of(invoice_id),
        further => {
            let name = format!("payment/{further}");
            Uuid::new_v5(&invoice_id.as_uuid(), name.as_bytes()).into()
        }
    }
}

/// Returns the deadline of a payment. It depends on when the invoice was recorded, not on when its
/// event is read.
pub(crate) fn deadline_after(trigger: &RecordedEvent, patience: Duration) -> DateTime<Utc> {
    chrono::TimeDelta::from_std(patience)
        .ok()
        .and_then(|patience| trigger.recorded_at.checked_add_signed(patience))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Payments {
    /// Returns the commands on an environment.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Requests a payment.
    pub async fn request(
        &self,
        request: PaymentRequested,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let id = request.payment_id;
        self.environment.create::<PaymentDecider>(id, Command::Request(request), cause).await
    }

    /// Cancels a pending payment.
    pub async fn cancel(
        &self,
        id: PaymentId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::Cancel, cause, expected).await
    }

    /// Requests a refund of everything that remains of a captured payment.
    pub async fn refund(
        &self,
        id: PaymentId,
        refund_id: RefundId,
        reason: String,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = Command::Refund { refund_id, reason: reason.into() };
        self.execute(id, command, cause, expected).await
    }

    /// Requests a refund of a captured payment.
    pub async fn propose_refund(
        &self,
        id: PaymentId,
        refund_id: RefundId,
        scope: RefundScope,
        reason: String,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = Command::ProposeRefund { refund_id, scope, reason: reason.into() };
        self.execute(id, command, cause, expected).await
    }

    /// Retries a refund that the provider refused.
    pub async fn retry_refund(
        &self,
        id: PaymentId,
        refund_id: RefundId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::RetryRefund { refund_id }, cause, expected).await
    }

    /// Refunds money that is no longer due.
    pub async fn give_back(&self, due: &RefundDue, cause: &Cause) -> Result<Executed, Error> {
        let RefundDue { amount, credit_note_id, .. } = *due;
        let refund_id = due.refund_id.into();
        let command = Command::GiveBack { refund_id, amount, credit_note_id };
        self.execute(due.payment_id.into(), command, cause, None).await
    }

    /// Records that a proposed refund gets no credit note.
    pub async fn refuse_refund(
        &self,
        denied: &RefundDenied,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let code = match denied.reason {
            DenialReason::NotPaid => "not_paid",
            DenialReason::ExceedsInvoice => "exceeds_invoice",
            DenialReason::NoSuchLine => "no_such_line",
            DenialReason::ExceedsLine => "exceeds_line",
            DenialReason::NothingToCredit => "nothing_to_credit",
        };
        let (refund_id, code) = (denied.refund_id.into(), code.to_owned());
        let command = Command::RefuseRefund { refund_id, code };
        self.execute(denied.payment_id.into(), command, cause, None).await
    }

    /// Cancels a pending payment of an invoice on which nothing is due any more.
    pub async fn call_off(&self, id: PaymentId, cause: &Cause) -> Result<Executed, Error> {
        self.execute(id, Command::CallOff, cause, None).await
    }

    /// Cancels a pending payment of a voided invoice, or refunds a captured one.
    pub async fn withdraw(&self, id: PaymentId, cause: &Cause) -> Result<Executed, Error> {
        self.execute(id, Command::Withdraw, cause, None).await
    }

    pub(crate) async fn record_capture(
        &self,
        id: PaymentId,
        reference: String,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::RecordCapture { reference }, cause, None).await
    }

    pub(crate) async fn record_decline(
        &self,
        id: PaymentId,
        reason: String,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::RecordDecline { reason: reason.into() }, cause, None).await
    }

    pub(crate) async fn expire(&self, id: PaymentId, cause: &Cause) -> Result<Executed, Error> {
        self.execute(id, Command::Expire, cause, None).await
    }

    pub(crate) async fn record_refund(
        &self,
        id: PaymentId,
        refund_id: RefundId,
        reference: String,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::RecordRefund { refund_id, reference }, cause, None).await
    }

    pub(crate) async fn record_refund_failure(
        &self,
        id: PaymentId,
        refund_id: RefundId,
        code: String,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::RecordRefundFailure { refund_id, code }, cause, None).await
    }

    /// Returns the current state of a payment.
    pub(crate) async fn load(&self, id: PaymentId) -> Result<Loaded<PaymentDecider>, LoadError> {
        self.environment.load(id).await
    }

    async fn execute(
        &self,
        id: PaymentId,
        command: Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.environment.execute::<PaymentDecider>(id, command, cause, expected).await
    }
}
