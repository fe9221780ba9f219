//! What only some modules can do. A module hands each as a value to [`Opened`](crate::Opened).

use std::pin::Pin;

use async_trait::async_trait;
use chrono::NaiveDate;
use kernel::event::Position;
use kernel::execution::Cause;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web_api::Problem;

/// Decides that a customer is erased. One module does.
#[async_trait]
pub trait ErasesCustomers: Send + Sync {
    /// Erases a customer; erasing one twice changes nothing.
    async fn erase(&self, customer_id: Uuid, cause: &Cause) -> Result<(), Problem>;
}

/// Keeps documents of an erased customer for as long as the law asks for.
#[async_trait]
pub trait RetainsDocuments: Send + Sync {
    /// Returns what is kept of an erased customer.
    async fn retained(&self, customer_id: Uuid) -> Result<Retained, Problem>;
}

/// What a module keeps of an erased customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// The last day on which the law has the customer's documents kept; `None` when none are.
    pub documents_until: Option<NaiveDate>,
    /// The position of the event that ended the retention, if it has ended.
    pub ended_at: Option<Position>,
}

/// Work beside the subscriptions, for as long as the process serves. It ends when the token is
/// cancelled, and runs on every replica.
pub type Upkeep =
    Box<dyn FnOnce(CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What the welcome on the terminal proposes to try first.
#[derive(Debug, Clone, Copy)]
pub struct FirstSteps {
    /// The modules that must run in this process.
    pub needs: &'static [&'static str],
    /// Returns the text, given the URL of the API.
    pub text: fn(api: &str) -> String,
}
