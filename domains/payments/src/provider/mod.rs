//! The port to the payment provider, and the limits around its calls.
//!
//! A provider recognises a call by its idempotency key: it never captures or refunds money twice for
//! the same key. A call without an answer has an unknown outcome; the enquiries ([`lookup`],
//! [`lookup_refund`]) and [`cancel`] make it definite.
//!
//! [`lookup`]: PaymentProvider::lookup
//! [`lookup_refund`]: PaymentProvider::lookup_refund
//! [`cancel`]: PaymentProvider::cancel

mod calls;
mod sandbox;

use std::time::Duration;

use async_trait::async_trait;
use kernel::store::BoxError;
use payments_contract::PaymentId;
use rust_decimal::Decimal;
use uuid::Uuid;

pub(crate) use calls::Calls;
pub use sandbox::{Sandbox, SandboxCharge, SandboxSettings};

/// A charge to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeRequest {
    /// Key by which the provider recognises the charge.
    pub idempotency_key: Uuid,
    /// Payment that the charge is for.
    pub payment_id: PaymentId,
    /// Amount to be captured.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Payment method, in the provider's terms.
    pub method: String,
}

/// The provider's answer to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was captured.
    Captured {
        /// The provider's reference of the capture.
        reference: String,
    },
    /// The provider declined the charge for good.
    Declined {
        /// Reason stated by the provider.
        reason: String,
    },
    /// The provider has not decided yet.
    Pending,
}

/// The state of a charge at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The money was captured.
    Captured {
        /// The provider's reference of the capture.
        reference: String,
    },
    /// The provider declined the charge.
    Declined {
        /// Reason stated by the provider.
        reason: String,
    },
    /// The provider has not decided yet.
    Pending,
    /// The provider does not know the charge; nothing was captured so far.
    NotFound,
    /// The charge was cancelled: nothing was or will be captured.
    Cancelled,
}

/// The provider's answer to a cancellation. If the provider does not know the charge, the cancellation
/// makes it decline the charge when it arrives later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// Nothing was or will be captured.
    Cancelled,
    /// The provider had declined the charge.
    AlreadyDeclined {
        /// Reason stated by the provider.
        reason: String,
    },
    /// The money was captured before.
    AlreadyCaptured {
        /// The provider's reference of the capture.
        reference: String,
    },
}

/// A refund to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRequest {
    /// Key by which the provider recognises the refund.
    pub idempotency_key: Uuid,
    /// Idempotency key of the refunded charge.
    pub charge_key: Uuid,
    /// Amount to be refunded.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
}

/// The provider's answer to a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was refunded.
    Refunded {
        /// The provider's reference of the refund.
        reference: String,
    },
    /// The provider has not refunded the money yet.
    Pending,
    /// The provider refuses the refund; an operator has to retry it.
    Refused {
        /// Code of the reason, without personal data.
        code: String,
    },
}

/// The state of a refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStatus {
    /// The money was refunded.
    Refunded {
        /// The provider's reference of the refund.
        reference: String,
    },
    /// The provider has not refunded the money yet.
    Pending,
    /// The provider does not know the refund.
    NotFound,
}

/// The reason why a provider gave no answer. The outcome of the call is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be reached, or answers that it is unavailable.
    #[error("the payment provider is unavailable")]
    Unavailable(#[source] BoxError),
    /// The provider works, but limits the rate of calls.
    #[error("the payment provider limits the rate of calls")]
    RateLimited {
        /// Time without calls that the provider asks for, if it states one.
        retry_after: Option<Duration>,
    },
}

/// A payment provider.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Captures money.
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, ProviderError>;

    /// Returns the state of a charge.
    async fn lookup(&self, idempotency_key: Uuid) -> Result<ChargeStatus, ProviderError>;

    /// Cancels a charge unless its money is captured.
    async fn cancel(&self, idempotency_key: Uuid) -> Result<CancelOutcome, ProviderError>;

    /// Refunds money.
    async fn refund(&self, request: &RefundRequest) -> Result<RefundOutcome, ProviderError>;

    /// Returns the state of a refund.
    async fn lookup_refund(&self, idempotency_key: Uuid) -> Result<RefundStatus, ProviderError>;

    /// Returns whether this process itself is working on charges. An external service works on its own,
    /// so a charge that waits for it does not wait for this process.
    fn is_own_work(&self) -> bool {
        false
    }
}
