//! A connection that can be cut at the worst time: the server has executed the statement, and its
//! response never arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Stands between a store and its server.
pub(crate) struct Proxy {
    address: SocketAddr,
    swallow: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Passes everything on to the server of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let (_, place) = url.rsplit_once('@').unwrap();
        let server = place.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let swallow = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&swallow);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, None));
                tokio::spawn(pass(from_server, to_client, Some(Arc::clone(&flag))));
            }
        });
        Self { address, swallow, accepting }
    }

    /// The same URL, by way of this.
    pub(crate) fn url(&self, url: &str) -> String {
        let (user, place) = url.rsplit_once('@').unwrap();
        let (_, database) = place.split_once('/').unwrap();
        format!("{user}@{}/{database}", self.address)
    }

    /// Cuts the first connection on which the server answers from now on, in place of the answer.
    pub(crate) fn swallow_the_next_answer(&self) {
        self.swallow.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_swallowed(&self) -> bool {
        !self.swallow.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until one side ends: dropping the other half tells the other side.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: Option<Arc<AtomicBool>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let cut = swallow.as_ref().is_some_and(|swallow| swallow.swap(false, Ordering::SeqCst));
        if cut || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
