//! What stands before every call: who calls, whether that account may make such a call at all, and
//! how much it may send, in what time. A call that is refused here has nothing of it read.
//!
//! What depends on the request itself, such as whose stream it is, is for the services.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Frame;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use crate::accounts::Caller;
use crate::capacity::Received;
use crate::connections::Peer;
use crate::endpoint::{Endpoint, MOST_MESSAGE_BYTES, count};
use crate::refusal::Refusal;
use crate::rights::Right;

/// How long a request may take to come.
const LITTLE_WITHIN: Duration = Duration::from_secs(10);
const APPEND_WITHIN: Duration = Duration::from_secs(60);
/// Most bytes of a request that appends nothing.
const LITTLE_BYTES: usize = 64 * 1024;
/// The same of one that anybody may send.
const FEWEST_BYTES: usize = 1024;
/// Most bytes of an append, what surrounds its events included.
const APPEND_BYTES: usize = MOST_MESSAGE_BYTES + 1024 * 1024;

/// What an account needs for a call, whatever the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Needs {
    /// Not even an account: clients ask this before they say who they are.
    Nothing,
    This(Right),
    /// To write anything.
    ToWrite,
    /// To write what is a module's.
    SomeModule,
}

/// How a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Fewest,
    Little,
    Append,
    /// Appends, one after another, for as long as the client likes.
    Appends,
}

struct Call {
    /// What metrics call it.
    method: &'static str,
    needs: Needs,
    sends: Sends,
}

/// The call at a path; what there is not is answered UNIMPLEMENTED, whoever calls.
fn call_at(path: &str) -> Call {
    let call = |method, needs, sends| Call { method, needs, sends };
    let reads = |method| call(method, Needs::This(Right::Read), Sends::Little);
    match path.trim_start_matches('/') {
        "event_store.client.streams.Streams/Read" => reads("read"),
        "event_store.client.streams.Streams/Append" => {
            call("append", Needs::ToWrite, Sends::Append)
        }
        "event_store.client.streams.Streams/BatchAppend" => {
            call("batch_append_call", Needs::ToWrite, Sends::Appends)
        }
        "event_store.client.streams.Streams/Delete" => {
            call("delete", Needs::ToWrite, Sends::Little)
        }
        "event_store.client.streams.Streams/Tombstone" => {
            call("tombstone", Needs::ToWrite, Sends::Little)
        }
        "event_store.client.monitoring.Monitoring/Stats" => reads("stats"),
        "bascule.store.v1.Store/Log" => reads("store_log"),
        "bascule.store.v1.Store/AppendMany" => {
            call("store_append_many", Needs::SomeModule, Sends::Append)
        }
        "bascule.store.v1.Store/FindInStream" => reads("store_find_in_stream"),
        "bascule.store.v1.Store/ReadCorrelation" => reads("store_read_correlation"),
        "bascule.store.v1.Store/EventIdAt" => reads("store_event_id_at"),
        "bascule.store.v1.Store/SealingKey" => {
            call("store_sealing_key", Needs::SomeModule, Sends::Little)
        }
        "bascule.store.v1.Store/OpeningKey" => {
            call("store_opening_key", Needs::This(Right::PersonalData), Sends::Little)
        }
        "bascule.store.v1.Store/IsDestroyed" => {
            call("store_is_destroyed", Needs::SomeModule, Sends::Little)
        }
        "bascule.store.v1.Store/DestroyKeys" => {
            call("store_destroy_keys", Needs::This(Right::Erase), Sends::Little)
        }
        "bascule.store.v1.Store/LookupKey" => {
            call("store_lookup_key", Needs::SomeModule, Sends::Fewest)
        }
        _ => call("other", Needs::Nothing, Sends::Fewest),
    }
}

impl Needs {
    fn of(&self, caller: &Caller) -> Result<(), Refusal> {
        match self {
            Self::Nothing => Ok(()),
            Self::This(right) => caller.needs(right),
            Self::ToWrite if caller.writes() => Ok(()),
            Self::ToWrite => Err(Refusal::Forbidden(
                "this needs the right append, system or that to a module".to_owned(),
            )),
            Self::SomeModule => caller.needs_any_module(),
        }
    }
}

/// A service with the guard before it.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    service: S,
    endpoint: Arc<Endpoint>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(service: S, endpoint: &Arc<Endpoint>) -> Self {
        Self { service, endpoint: Arc::clone(endpoint) }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut service, endpoint) = (self.service.clone(), Arc::clone(&self.endpoint));
        async move {
            let call = call_at(request.uri().path());
            match admit(&endpoint, &call, request).await {
                Ok(request) => service.call(request).await,
                Err(refusal) => {
                    count(call.method, Some(&refusal));
                    Ok(Status::from(refusal).into_http())
                }
            }
        }
        .boxed()
    }
}

/// Lets a call through, together with what is known of it.
async fn admit(
    endpoint: &Endpoint,
    call: &Call,
    mut request: http::Request<Body>,
) -> Result<http::Request<Body>, Refusal> {
    let peer = Peer::of(request.extensions());
    let mut share = None;
    if call.needs != Needs::Nothing {
        let caller = endpoint.accounts.caller(request.headers(), peer.as_ref()).await?;
        call.needs.of(&caller)?;
        if let Some(peer) = &peer {
            peer.is_known();
        }
        share = Some(caller.share.clone());
        request.extensions_mut().insert(caller);
    }
    let received = endpoint.capacity.receiving(share);
    request.extensions_mut().insert(received.clone());
    let stopping = endpoint.stopping.clone();
    Ok(request.map(|body| Body::new(Incoming::new(body, call.sends, received, stopping))))
}

/// What comes of a request, counted.
struct Incoming {
    body: Body,
    sends: Sends,
    bytes: usize,
    received: Received,
    stopping: CancellationToken,
    /// When nothing more is waited for; begins when something has to be waited for.
    end: Option<BoxFuture<'static, Refusal>>,
}

impl Incoming {
    fn new(body: Body, sends: Sends, received: Received, stopping: CancellationToken) -> Self {
        Self { body, sends, bytes: 0, received, stopping, end: None }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let limit = match self.sends {
            Sends::Fewest => FEWEST_BYTES,
            Sends::Little => LITTLE_BYTES,
            Sends::Append => APPEND_BYTES,
            Sends::Appends => usize::MAX,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > limit {
            return Err(Refusal::TooLarge { what: "the request is too large".to_owned(), limit });
        }
        self.received.add(bytes)
    }

    /// Waits for the end of waiting.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        let within = match self.sends {
            Sends::Fewest | Sends::Little => LITTLE_WITHIN,
            Sends::Append => APPEND_WITHIN,
            // Each of its appends has a deadline.
            Sends::Appends => return Poll::Pending,
        };
        let stopping = &self.stopping;
        let end = self.end.get_or_insert_with(|| {
            let stopping = stopping.clone();
            async move {
                tokio::select! {
                    () = stopping.cancelled() => Refusal::Stopping,
                    () = tokio::time::sleep(within) => Refusal::TooSlow(within),
                }
            }
            .boxed()
        });
        end.poll_unpin(context)
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(this.take(bytes).map(|()| frame).map_err(Status::from)))
            }
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => {
                let refusal = ready!(this.poll_end(context));
                Poll::Ready(Some(Err(refusal.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
