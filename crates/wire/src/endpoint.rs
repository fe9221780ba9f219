//! The state shared by all services of the endpoint.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use kernel::codec::Codec;
use kernel::keys::KeyVault;
use kernel::seams::SharedClock;
use kernel::store::EventStore;
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Response, Status};
use uuid::Uuid;

use crate::accounts::{Accounts, Caller};
use crate::calls::{Call, Metric};
use crate::capacity::Capacity;
use crate::ownership::Ownership;
use crate::refusal::Refusal;
use crate::scavenging::Scavenger;

/// Maximum bytes of one append, all events together.
pub(crate) const MOST_APPENDED_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of events of one append.
pub(crate) const MOST_APPENDED_EVENTS: usize = 10_000;
/// Maximum bytes of a message: an append and its framing.
pub(crate) const MOST_MESSAGE_BYTES: usize = MOST_APPENDED_BYTES + 1024 * 1024;

/// The parts of bascule that the endpoint serves.
pub struct Served {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// Decrypts personal data for accounts with the right to it.
    pub codec: Codec,
    /// The keys of personal data, for remote modules.
    pub vault: Arc<dyn KeyVault>,
    /// The clock, for the times of events from outside.
    pub clock: SharedClock,
    /// The owner of each stream.
    pub ownership: Ownership,
}

/// The state shared by all services.
pub(crate) struct Endpoint {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) codec: Codec,
    pub(crate) vault: Arc<dyn KeyVault>,
    pub(crate) clock: SharedClock,
    pub(crate) ownership: Ownership,
    pub(crate) accounts: Accounts,
    pub(crate) capacity: Capacity,
    pub(crate) scavenger: Scavenger,
    /// Identifies this process among others on the same store.
    pub(crate) instance: Uuid,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// Cancelled when the server is asked to stop; ends subscriptions.
    pub(crate) stopping: CancellationToken,
}

impl Endpoint {
    /// Executes a request of the caller that the guard authenticated, if that account may make the
    /// call, and counts it.
    pub(crate) async fn carry_out<T, F>(
        &self,
        call: &'static Call,
        extensions: &Extensions,
        request: impl FnOnce(Caller) -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        // The guard looked the call up by its path. A service that names another call fails its tests.
        let guarded = extensions.get::<&'static Call>();
        debug_assert!(guarded.is_none_or(|guarded| guarded.metric == call.metric), "{call:?}");
        let outcome = match extensions.get::<Caller>() {
            Some(caller) => match call.admits(caller) {
                Ok(()) => request(caller.clone()).await,
                Err(refusal) => Err(refusal),
            },
            None => Err(Refusal::Unauthenticated("authentication required")),
        };
        count(call.metric, outcome.as_ref().err());
        outcome
    }

    /// [`Self::carry_out`], with the result as a gRPC response.
    pub(crate) async fn answer<T, F>(
        &self,
        call: &'static Call,
        extensions: &Extensions,
        request: impl FnOnce(Caller) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        Ok(Response::new(self.carry_out(call, extensions, request).await?))
    }
}

/// Counts an answered request.
pub(crate) fn count(metric: Metric, refusal: Option<&Refusal>) {
    let method = metric.label();
    let outcome = refusal.map_or("ok", Refusal::label);
    metrics::counter!("wire_requests_total", "method" => method, "outcome" => outcome).increment(1);
}
