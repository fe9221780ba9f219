//! Connections to the remote bascule: EventStoreDB's client, and a gRPC channel of our own.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use eventstore::{Client, ClientSettings};
use kernel::event::Position;
use percent_encoding::percent_decode_str;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use url::Url;
use uuid::Uuid;

use crate::OpenError;
use crate::service::LogRequest;
use crate::service::store_client::StoreClient;

/// Maximum time to open a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Maximum time for a response: longer than the remote side lets appends wait.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Maximum size of a response: a page of events of a correlation.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
const DEFAULT_PORT: u16 = 2113;

/// A client of the service.
pub(crate) type Service = StoreClient<InterceptedService<Channel, Credentials>>;

/// Both connections to the remote side. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The client for reads.
    pub(crate) events: Client,
    service: Service,
}

/// An error status of the remote side, or a failed connection, in readable form: the `Display` of a
/// status contains everything from which it was built.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.code().description(), .0.message())]
pub(crate) struct BadAnswer(Status);

impl From<Status> for BadAnswer {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

/// The identity and the head of the log.
pub(crate) struct Log {
    pub(crate) log_id: Uuid,
    pub(crate) head: Position,
    /// The id of the event there, if the remote side returns it.
    pub(crate) head_id: Option<Uuid>,
    /// The id of the event at the remembered position.
    pub(crate) remembered_id: Option<Uuid>,
}

/// Adds the credentials to every request.
#[derive(Clone)]
pub(crate) struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(credentials) = &self.0 {
            request.metadata_mut().insert("authorization", credentials.clone());
        }
        Ok(request)
    }
}

impl Credentials {
    /// Returns the credentials in a URL (RFC 7617).
    fn of(url: &Url) -> Option<Self> {
        if url.username().is_empty() {
            return Some(Self(None));
        }
        let decoded = |text| percent_decode_str(text).decode_utf8().ok();
        let (user, password) = (decoded(url.username())?, decoded(url.password().unwrap_or(""))?);
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut value: MetadataValue<Ascii> = format!("Basic {pair}").parse().ok()?;
        value.set_sensitive(true);
        Some(Self(Some(value)))
    }
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self, OpenError> {
        let url: Url = address.parse().map_err(|_| unreadable(address))?;
        let settings: ClientSettings = address.parse().map_err(|_| unreadable(address))?;
        let host = url.host_str().ok_or_else(|| unreadable(address))?;
        let credentials = Credentials::of(&url).ok_or_else(|| unreadable(address))?;
        let scheme = if settings.is_secure_mode_enabled() { "https" } else { "http" };
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))
            .map_err(|_| unreadable(address))?
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let endpoint = if settings.is_secure_mode_enabled() {
            endpoint.tls_config(tls(&url)?).map_err(unreachable)?
        } else {
            endpoint
        };
        let service = StoreClient::with_interceptor(endpoint.connect_lazy(), credentials)
            .max_decoding_message_size(LARGEST_ANSWER)
            .max_encoding_message_size(LARGEST_ANSWER);
        let events = Client::new(settings).map_err(unreachable)?;
        Ok(Self { events, service })
    }

    /// Returns a client for one call: it is cheap to clone, and a call needs it mutable.
    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }

    pub(crate) async fn log(&self, remembered: Option<Position>) -> Result<Log, Status> {
        let log = self.service().log(LogRequest { remembered }).await?.into_inner();
        let optional = |id: Option<Vec<u8>>| id.map(|id| uuid(&id)).transpose();
        Ok(Log {
            log_id: uuid(&log.log_id)?,
            head: log.head,
            head_id: optional(log.head_event_id)?,
            remembered_id: optional(log.remembered_event_id)?,
        })
    }
}

fn tls(url: &Url) -> Result<ClientTlsConfig, OpenError> {
    let file = url.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case("tlsCaFile"));
    let Some((_, file)) = file else { return Ok(ClientTlsConfig::new().with_webpki_roots()) };
    let pem = std::fs::read(&*file)
        .map_err(|source| OpenError::Certificate { file: file.to_string(), source })?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

/// Returns the error for an invalid address, without its credentials.
fn unreadable(address: &str) -> OpenError {
    let shown = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
    OpenError::Url(shown.to_owned())
}

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Unreachable(Box::new(error))
}

/// Reads an id of the service: 16 bytes.
pub(crate) fn uuid(bytes: &[u8]) -> Result<Uuid, Status> {
    Uuid::from_slice(bytes)
        .map_err(|_| Status::data_loss("the response contains an id that is not a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_understood_is_told_without_its_password() {
        let error = unreadable("esdb://payments:secret@:2113").to_string();
        assert!(!error.contains("secret") && error.contains(":2113"), "{error}");
    }

    #[test]
    fn credentials_are_decoded_and_sent_with_every_request() {
        let url = "esdb://pay%40ments:s%3Ae@localhost:2113".parse().unwrap();
        let mut credentials = Credentials::of(&url).unwrap();
        let request = credentials.call(Request::new(())).unwrap();
        let sent = request.metadata().get("authorization").unwrap().to_str().unwrap();
        assert_eq!(sent, format!("Basic {}", BASE64_STANDARD.encode("pay@ments:s:e")));
    }
}
