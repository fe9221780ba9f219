//! The port to whoever moves the money, and what is put around its calls.
//!
//! A provider recognises a call by its idempotency key: the same key twice never takes or gives
//! back money twice. A call without an answer is an unknown outcome; the enquiries ([`lookup`],
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

/// Money to be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeRequest {
    /// Recognises the charge.
    pub idempotency_key: Uuid,
    /// The payment it is for.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// From where, in the provider's own terms.
    pub method: String,
}

/// The provider's answer to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// It took the money.
    Captured {
        /// Its own reference.
        reference: String,
    },
    /// It refuses, for good.
    Declined {
        /// Why, in its words.
        reason: String,
    },
    /// It has not decided yet.
    Pending,
}

/// What a provider knows of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeStatus {
    /// It took the money.
    Captured {
        /// Its own reference.
        reference: String,
    },
    /// It refused.
    Declined {
        /// Why, in its words.
        reason: String,
    },
    /// It has not decided yet.
    Pending,
    /// It has never heard of it, so nothing was taken so far.
    NotFound,
    /// It was cancelled: nothing was taken and nothing will be.
    Cancelled,
}

/// What came of cancelling a charge. Cancelling one that the provider has never heard of makes
/// sure that it refuses it should it still arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// Nothing was taken and nothing will be.
    Cancelled,
    /// It had refused the charge anyway.
    AlreadyDeclined {
        /// Why, in its words.
        reason: String,
    },
    /// It took the money before.
    AlreadyCaptured {
        /// Its own reference.
        reference: String,
    },
}

/// Money to be given back.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRequest {
    /// Recognises the refund.
    pub idempotency_key: Uuid,
    /// The key of the charge whose money goes back.
    pub charge_key: Uuid,
    /// How much.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

/// The provider's answer to a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// It gave the money back.
    Refunded {
        /// Its own reference.
        reference: String,
    },
    /// It has not done it yet.
    Pending,
    /// It will not: somebody must look into it.
    Refused {
        /// Why, as a code without personal data.
        code: String,
    },
}

/// What a provider knows of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStatus {
    /// It gave the money back.
    Refunded {
        /// Its own reference.
        reference: String,
    },
    /// It has not done it yet.
    Pending,
    /// It has never heard of it.
    NotFound,
}

/// Why a provider gave no answer. The outcome of the call is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, or answers that it cannot work now.
    #[error("the payment provider is unavailable")]
    Unavailable(#[source] BoxError),
    /// It works, but wants fewer calls.
    #[error("the payment provider limits the rate of calls")]
    RateLimited {
        /// How long to leave it alone, where it says so.
        retry_after: Option<Duration>,
    },
}

/// Whoever moves the money.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Takes money.
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, ProviderError>;

    /// What became of a charge.
    async fn lookup(&self, idempotency_key: Uuid) -> Result<ChargeStatus, ProviderError>;

    /// Makes sure that a charge takes nothing, unless it has.
    async fn cancel(&self, idempotency_key: Uuid) -> Result<CancelOutcome, ProviderError>;

    /// Gives money back.
    async fn refund(&self, request: &RefundRequest) -> Result<RefundOutcome, ProviderError>;

    /// What became of a refund.
    async fn lookup_refund(&self, idempotency_key: Uuid) -> Result<RefundStatus, ProviderError>;

    /// Whether charges are under way that this process itself is at work on. A service outside works by
    /// itself: what waits for it does not wait for its turn here.
    fn is_own_work(&self) -> bool {
        false
    }
}
