//! The listener: starts, serves, stops.

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

/// A client that says nothing for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// And is given up when it does not answer for so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Calls of one connection at a time, as EventStoreDB has it.
const MOST_CALLS: u32 = 100;
/// Calls of one connection that may have been reset before they were looked at, or for a mistake,
/// before the connection is closed.
const MOST_RESETS: usize = 20;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long calls under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Why the endpoint cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No address to listen on.
    #[error("set `listen` under [wire]")]
    NowhereToListen,
    /// The accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}; is another server running? Choose with --wire-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A file of `[wire.tls]` cannot be read.
    #[error("the file {} of [wire.tls] cannot be read", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The certificate and the key do not do.
    #[error(
        "the certificate {} and the key {} cannot be used for TLS: both must be PEM files, and the key that of the certificate",
        certificate.display(),
        key.display()
    )]
    Tls {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A started endpoint.
pub struct WireServer {
    address: SocketAddr,
    stopping: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    scavenging: JoinHandle<()>,
}

impl WireServer {
    /// Listens and serves, until [`Self::stop`].
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, ends subscriptions so that their clients go elsewhere, and lets
    /// the other calls end.
    pub async fn stop(self) {
        let Self { stopping, mut serving, scavenging, .. } = self;
        stopping.cancel();
        match tokio::time::timeout(GRACE, &mut serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the wire protocol's listener ended badly");
            }
            Ok(Err(error)) => tracing::error!(%error, "the wire protocol's listener failed"),
            Err(_) => {
                tracing::warn!("some calls of the wire protocol did not end in time");
                serving.abort();
            }
        }
        if let Err(error) = scavenging.await {
            tracing::error!(%error, "scavenging failed");
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
