//! Connections: a bounded number, none of them without authentication for long.
//!
//! A connection holds a file descriptor of the process. So their number is bounded, and a connection
//! without an authenticated request within the time limit is closed, whether it sent nothing, half a
//! handshake or refused requests. After that, HTTP/2 pings detect a client that is gone.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt as _, Stream};
use kernel::outage::Outage;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::codegen::http::Extensions;
use tonic::transport::server::{Connected, TlsConnectInfo};

use crate::prompt::Prompt;

/// Maximum number of connections, and how long one may take to authenticate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) most: usize,
    pub(crate) recognised_within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        // Half of the usual limit of descriptors per process.
        Self { most: 500, recognised_within: Duration::from_secs(30) }
    }
}

static UNACCEPTED: Outage =
    Outage::new("wire_connections_unaccepted", "cannot accept connections to the wire protocol");
static REFUSED: Outage =
    Outage::new("wire_connections_refused", "connections to the wire protocol are refused");

/// The pause before the next attempt when a connection cannot be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// The client of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The address at which the client reached this server.
    pub(crate) local_address: Option<SocketAddr>,
    known: Arc<AtomicBool>,
    checking: Arc<Mutex<()>>,
}

impl Peer {
    /// Returns the peer of the connection that a request came on.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let in_the_clear = extensions.get::<Self>();
        in_the_clear
            .or_else(|| extensions.get::<TlsConnectInfo<Self>>().map(TlsConnectInfo::get_ref))
            .cloned()
    }

    /// Marks the connection as authenticated: it stays open.
    pub(crate) fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Waits for its turn: passwords of one connection are checked one at a time.
    pub(crate) async fn checking(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.checking).lock_owned().await
    }
}

/// A connection of a client.
pub(crate) struct Connection {
    io: Prompt,
    peer: Peer,
    /// Until when it has to authenticate.
    deadline: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("wire_connections").decrement(1.0);
    }
}

/// Returns the accepted connections. One beyond the limit is closed at once, so that its client gets an
/// error instead of waiting for a response that does not come.
pub(crate) fn connections(
    listener: TcpListener,
    bounds: Bounds,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(bounds.most));
    async_stream::stream! {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => {
                    UNACCEPTED.ends_if_quiet();
                    stream
                }
                Err(error) => {
                    // The process has no descriptors left, or the client is gone already.
                    UNACCEPTED.occurs("", &error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                metrics::counter!("wire_connections_refused_total").increment(1);
                let why = format!("the maximum of {} connections is open", bounds.most);
                REFUSED.occurs_because("", &why, &why);
                continue;
            };
            REFUSED.ends_if_quiet();
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY; small responses may be delayed");
            }
            metrics::gauge!("wire_connections").increment(1.0);
            let peer = Peer {
                local_address: stream.local_addr().ok(),
                known: Arc::default(),
                checking: Arc::default(),
            };
            let deadline = Some(Box::pin(tokio::time::sleep(bounds.recognised_within)));
            yield Ok(Connection { io: Prompt(stream), peer, deadline, _place: place });
        }
    }
}

impl Connection {
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        match deadline.poll_unpin(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.deadline = None;
                if self.peer.known.load(Ordering::Relaxed) {
                    return Poll::Pending;
                }
                let problem = "no request on this connection authenticated in time";
                Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, problem))
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_deadline(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
