//! The module's commands, as HTTP, the policy and the reactor alike carry them out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kernel::event::RecordedEvent;
use kernel::execution::{
    Cause, Environment, ExecuteError, Executed, ExpectedAt, LoadError, Loaded,
};
use payments_contract::{PaymentId, PaymentRequested};
use uuid::Uuid;

use crate::domain::{Command, PaymentDecider, Refusal};

/// What became of a command.
pub type Outcome = Result<Executed, ExecuteError<Refusal>>;

/// The payments of this system. Cheap to clone.
#[derive(Clone)]
pub struct Payments {
    pub(crate) environment: Environment,
}

/// The payment of an invoice: each invoice has one.
pub fn payment_of(invoice_id: Uuid) -> PaymentId {
    Uuid::new_v5(&invoice_id, b"payment")
}

/// When a payment is given up: a while after its invoice was recorded, whenever that is read.
pub(crate) fn deadline_after(trigger: &RecordedEvent, patience: Duration) -> DateTime<Utc> {
    chrono::TimeDelta::from_std(patience)
        .ok()
        .and_then(|patience| trigger.recorded_at.checked_add_signed(patience))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Payments {
    /// Payments in the given environment.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Asks for a payment.
    pub async fn request(&self, request: PaymentRequested, cause: &Cause) -> Outcome {
        let id = request.payment_id;
        self.environment.create::<PaymentDecider>(id, Command::Request(request), cause).await
    }

    /// Gives up a payment that is still pending.
    pub async fn cancel(
        &self,
        id: PaymentId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Outcome {
        self.execute(id, Command::Cancel, cause, expected).await
    }

    /// Asks for the money of a captured payment to go back.
    pub async fn refund(
        &self,
        id: PaymentId,
        reason: String,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Outcome {
        self.execute(id, Command::Refund { reason: reason.into() }, cause, expected).await
    }

    /// Makes sure that no money of a void invoice stays here.
    pub async fn withdraw(&self, id: PaymentId, cause: &Cause) -> Outcome {
        self.execute(id, Command::Withdraw, cause, None).await
    }

    pub(crate) async fn record_capture(
        &self,
        id: PaymentId,
        reference: String,
        cause: &Cause,
    ) -> Outcome {
        self.execute(id, Command::RecordCapture { reference }, cause, None).await
    }

    pub(crate) async fn record_decline(
        &self,
        id: PaymentId,
        reason: String,
        cause: &Cause,
    ) -> Outcome {
        self.execute(id, Command::RecordDecline { reason: reason.into() }, cause, None).await
    }

    pub(crate) async fn expire(&self, id: PaymentId, cause: &Cause) -> Outcome {
        self.execute(id, Command::Expire, cause, None).await
    }

    pub(crate) async fn record_refund(
        &self,
        id: PaymentId,
        reference: String,
        cause: &Cause,
    ) -> Outcome {
        self.execute(id, Command::RecordRefund { reference }, cause, None).await
    }

    /// A payment as it stands in the log.
    pub(crate) async fn load(&self, id: PaymentId) -> Result<Loaded<PaymentDecider>, LoadError> {
        self.environment.load(id).await
    }

    async fn execute(
        &self,
        id: PaymentId,
        command: Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Outcome {
        self.environment.execute::<PaymentDecider>(id, command, cause, expected).await
    }
}
