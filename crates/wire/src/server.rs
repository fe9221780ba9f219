//! The listener of the wire protocol: start, serve, stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::seams::new_id;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::accounts::{Accounts, AccountsError};
use crate::capacity::Capacity;
use crate::connections::{Bounds, connections};
use crate::discovery::{FeaturesService, GossipService};
use crate::endpoint::{Endpoint, MOST_MESSAGE_BYTES, Served};
use crate::guard::Guarded;
use crate::module_store::StoreService;
use crate::monitoring::MonitoringService;
use crate::protocol::gossip::gossip_server::GossipServer;
use crate::protocol::monitoring::monitoring_server::MonitoringServer;
use crate::protocol::server_features::server_features_server::ServerFeaturesServer;
use crate::protocol::store::store_server::StoreServer;
use crate::protocol::streams::streams_server::StreamsServer;
use crate::scavenging::Scavenger;
use crate::settings::{TlsSettings, WireSettings};
use crate::streams::StreamsService;

/// The idle time after which the server pings a client.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The time within which a client must answer a ping before its connection is closed.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of concurrent calls per connection, as in EventStoreDB.
const MOST_CALLS: u32 = 100;
/// Maximum number of calls of one connection that are reset before they are handled, or for an error,
/// before the connection is closed.
const MOST_RESETS: usize = 20;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Maximum time for calls in progress to end.
const GRACE: Duration = Duration::from_secs(10);

/// Why the endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No listening address is configured.
    #[error("the wire protocol has no listening address: set `listen` under [wire]")]
    NowhereToListen,
    /// The accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The address is in use, or does not belong to this machine.
    #[error(
        "cannot listen on {address} for the wire protocol: stop the other server, or choose another address with --wire-listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file of `[wire.tls]` cannot be read.
    #[error("cannot read the file {} of [wire.tls]", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The certificate and the key cannot be used.
    #[error(
        "the certificate {} and the key {} cannot be used for TLS: both must be PEM files, and the key must belong to the certificate",
        certificate.display(),
        key.display()
    )]
    Tls {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The TLS library's error.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A running endpoint.
pub struct WireServer {
    address: SocketAddr,
    stopping: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    scavenging: JoinHandle<()>,
}

impl WireServer {
    /// Listens and serves until [`Self::stop`].
    pub async fn start(settings: &WireSettings, served: Served) -> Result<Self, StartError> {
        Self::start_within(settings, served, Bounds::default()).await
    }

    async fn start_within(
        settings: &WireSettings,
        served: Served,
        bounds: Bounds,
    ) -> Result<Self, StartError> {
        let wanted = settings.listen.ok_or(StartError::NowhereToListen)?;
        let Served { store, codec, vault, clock, ownership } = served;
        let accounts = Accounts::new(settings, wanted, &ownership)?;
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_pending_accept_reset_streams(Some(MOST_RESETS))
            .http2_max_local_error_reset_streams(Some(MOST_RESETS))
            .max_concurrent_streams(MOST_CALLS);
        if let Some(tls) = &settings.tls {
            let unusable = |source| StartError::Tls {
                certificate: tls.certificate.clone(),
                key: tls.key.clone(),
                source,
            };
            server = server.tls_config(tls_config(tls)?).map_err(unusable)?;
        }
        let cannot_listen = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let incoming = connections(listener, bounds);

        let stopping = CancellationToken::new();
        let (scavenger, scavenging) =
            Scavenger::new(Arc::clone(&store), ownership.clone(), Arc::clone(&clock));
        let scavenging = tokio::spawn(scavenging.run(stopping.clone()));
        let endpoint = Arc::new(Endpoint {
            store,
            codec,
            vault,
            clock,
            ownership,
            accounts,
            capacity: Capacity::default(),
            scavenger,
            instance: new_id(),
            address,
            stopping: stopping.clone(),
        });
        let streams = StreamsServer::new(StreamsService(Arc::clone(&endpoint)))
            .max_decoding_message_size(MOST_MESSAGE_BYTES);
        let store = StoreServer::new(StoreService(Arc::clone(&endpoint)))
            .max_decoding_message_size(MOST_MESSAGE_BYTES);
        let features = ServerFeaturesServer::new(FeaturesService);
        let gossip = GossipServer::new(GossipService(Arc::clone(&endpoint)));
        let monitoring = MonitoringServer::new(MonitoringService(Arc::clone(&endpoint)));
        let router = server
            .add_service(Guarded::new(streams, &endpoint))
            .add_service(Guarded::new(store, &endpoint))
            .add_service(Guarded::new(features, &endpoint))
            .add_service(Guarded::new(gossip, &endpoint))
            .add_service(Guarded::new(monitoring, &endpoint));
        let asked_to_stop = stopping.clone().cancelled_owned();
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, asked_to_stop));
        Ok(Self { address, stopping, serving, scavenging })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, ends subscriptions so that their clients reconnect elsewhere, and
    /// lets the other calls end.
    pub async fn stop(self) {
        let Self { stopping, mut serving, scavenging, .. } = self;
        stopping.cancel();
        match tokio::time::timeout(GRACE, &mut serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the listener of the wire protocol failed");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the listener of the wire protocol ended unexpectedly")
            }
            Err(_) => {
                tracing::warn!(
                    "some calls of the wire protocol did not end in time; closing their connections"
                );
                serving.abort();
            }
        }
        if let Err(error) = scavenging.await {
            tracing::error!(%error, "the scavenging of the wire protocol ended unexpectedly");
        }
    }
}

fn tls_config(tls: &TlsSettings) -> Result<ServerTlsConfig, StartError> {
    let identity = Identity::from_pem(pem(&tls.certificate)?, pem(&tls.key)?);
    Ok(ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE))
}

fn pem(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::TlsFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
