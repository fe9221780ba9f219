//! Optional capabilities of modules. A module passes each as a value to [`Opened`](crate::Opened).

use std::pin::Pin;

use async_trait::async_trait;
use chrono::NaiveDate;
use kernel::event::Position;
use kernel::execution::Cause;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web_api::Problem;

/// Decides the erasure of a customer. Only one module implements it.
#[async_trait]
pub trait ErasesCustomers: Send + Sync {
    /// Erases a customer. Idempotent.
    async fn erase(&self, customer_id: Uuid, cause: &Cause) -> Result<(), Problem>;
}

/// Retains documents of an erased customer for the period that the law requires.
#[async_trait]
pub trait RetainsDocuments: Send + Sync {
    /// Returns what the module retains of an erased customer.
    async fn retained(&self, customer_id: Uuid) -> Result<Retained, Problem>;
}

/// The documents that a module retains of an erased customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Last day of the legal retention of the customer's documents; `None` if none are retained.
    pub documents_until: Option<NaiveDate>,
    /// The position of the event that ended the retention, if it has ended.
    pub ended_at: Option<Position>,
}

/// Background work beside the subscriptions. It runs on every replica while the process serves, and ends
/// when the token is cancelled.
pub type Upkeep =
    Box<dyn FnOnce(CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// First steps that the welcome message on the terminal proposes.
#[derive(Debug, Clone, Copy)]
pub struct FirstSteps {
    /// The modules that must run in this process.
    pub needs: &'static [&'static str],
    /// Returns the text, given the URL of the API.
    pub text: fn(api: &str) -> String,
}
