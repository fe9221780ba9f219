//! The guard before every call: authenticates the caller, and limits which calls its account may make,
//! how much it may send, and for how long. Nothing of a refused request is read.
//!
//! What depends on the request itself, such as the owner of its stream, is checked by the services.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Frame;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use crate::calls::{self, Call, Needs, Sends};
use crate::capacity::Received;
use crate::connections::Peer;
use crate::endpoint::{Endpoint, count};
use crate::refusal::Refusal;

/// A service behind the guard.
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
            let Some(call) = calls::at(request.uri().path()) else {
                let refusal = Refusal::Unsupported("this call");
                count(calls::UNKNOWN, Some(&refusal));
                return Ok(Status::from(refusal).into_http());
            };
            match admit(&endpoint, call, request).await {
                Ok(request) => service.call(request).await,
                Err(refusal) => {
                    count(call.metric, Some(&refusal));
                    Ok(Status::from(refusal).into_http())
                }
            }
        }
        .boxed()
    }
}

/// Admits a call and attaches caller, call and peer to it.
async fn admit(
    endpoint: &Endpoint,
    call: &'static Call,
    mut request: http::Request<Body>,
) -> Result<http::Request<Body>, Refusal> {
    let peer = Peer::of(request.extensions());
    let mut share = None;
    if call.needs != Needs::Nothing {
        let caller = endpoint.accounts.caller(request.headers(), peer.as_ref()).await?;
        call.admits(&caller)?;
        if let Some(peer) = &peer {
            peer.is_known();
        }
        share = Some(caller.share.clone());
        request.extensions_mut().insert(caller);
    }
    request.extensions_mut().insert(call);
    let received = endpoint.capacity.receiving(share);
    request.extensions_mut().insert(received.clone());
    let stopping = endpoint.stopping.clone();
    Ok(request.map(|body| Body::new(Incoming::new(body, call.sends, received, stopping))))
}

/// The counted body of a request.
struct Incoming {
    body: Body,
    sends: Sends,
    bytes: usize,
    received: Received,
    stopping: CancellationToken,
    /// Resolves when the time limit is over; started when the body first has to be waited for.
    end: Option<BoxFuture<'static, Refusal>>,
}

impl Incoming {
    fn new(body: Body, sends: Sends, received: Received, stopping: CancellationToken) -> Self {
        Self { body, sends, bytes: 0, received, stopping, end: None }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let limit = self.sends.most_bytes().unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > limit {
            return Err(Refusal::TooLarge { what: "the request is too large".to_owned(), limit });
        }
        self.received.add(bytes)
    }

    /// Polls the time limit.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        let Some(within) = self.sends.within() else { return Poll::Pending };
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
