//! What every service of the endpoint works with.

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

/// Most bytes that one append may have, all events together.
pub(crate) const MOST_APPENDED_BYTES: usize = 16 * 1024 * 1024;
/// Most events that one append may have.
pub(crate) const MOST_APPENDED_EVENTS: usize = 10_000;
/// Largest message that is read: an append and what surrounds it.
pub(crate) const MOST_MESSAGE_BYTES: usize = MOST_APPENDED_BYTES + 1024 * 1024;

/// What the endpoint serves.
pub struct Served {
    /// The events.
    pub store: Arc<dyn EventStore>,
    /// Opens personal data for those who may read it.
    pub codec: Codec,
    /// The keys of personal data, for modules elsewhere.
    pub vault: Arc<dyn KeyVault>,
    /// Tells when events from outside happened.
    pub clock: SharedClock,
    /// Which streams are a module's.
    pub ownership: Ownership,
}

/// What every service works with.
pub(crate) struct Endpoint {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) codec: Codec,
    pub(crate) vault: Arc<dyn KeyVault>,
    pub(crate) clock: SharedClock,
    pub(crate) ownership: Ownership,
    pub(crate) accounts: Accounts,
    pub(crate) capacity: Capacity,
    pub(crate) scavenger: Scavenger,
    /// Names this process among others on the same store.
    pub(crate) instance: Uuid,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Cancelled when the server is asked to stop: what goes on for ever ends.
    pub(crate) stopping: CancellationToken,
}

impl Endpoint {
    /// Carries out a request of whom the guard recognised, if that account may make such a call, and
    /// counts it.
    pub(crate) async fn carry_out<T, F>(
        &self,
        call: &'static Call,
        extensions: &Extensions,
        request: impl FnOnce(Caller) -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        // The guard looked the call up by its path. A service that names another one fails its tests.
        let guarded = extensions.get::<&'static Call>();
        debug_assert!(guarded.is_none_or(|guarded| guarded.metric == call.metric), "{call:?}");
        let outcome = match extensions.get::<Caller>() {
            Some(caller) => match call.admits(caller) {
                Ok(()) => request(caller.clone()).await,
                Err(refusal) => Err(refusal),
            },
            None => Err(Refusal::Unauthenticated("nobody was recognised")),
        };
        count(call.metric, outcome.as_ref().err());
        outcome
    }

    /// [`Self::carry_out`], answering as gRPC does.
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

/// Counts a request that was answered.
pub(crate) fn count(metric: Metric, refusal: Option<&Refusal>) {
    let method = metric.label();
    let outcome = refusal.map_or("ok", Refusal::label);
    metrics::counter!("wire_requests_total", "method" => method, "outcome" => outcome).increment(1);
}
