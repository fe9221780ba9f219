//! The calls that the endpoint answers: one table with the metric label, the required right and the
//! maximum request of each. The guard, the services, the list of supported methods and the page
//! `docs/wire.md` follow from it. Any other call is answered UNIMPLEMENTED.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::accounts::Caller;
use crate::endpoint::MOST_MESSAGE_BYTES;
use crate::refusal::Refusal;
use crate::rights::Right;

/// Maximum bytes of a request that needs no account.
const FEWEST_BYTES: usize = 1024;
/// Maximum bytes of a request that appends nothing.
const LITTLE_BYTES: usize = 64 * 1024;
/// Maximum bytes of an append, including the framing of its events.
const APPEND_BYTES: usize = MOST_MESSAGE_BYTES + 1024 * 1024;
/// Maximum time for a request to arrive.
const LITTLE_WITHIN: Duration = Duration::from_secs(10);
const APPEND_WITHIN: Duration = Duration::from_secs(60);

/// A service of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its full name, as in the path of its calls.
    name: &'static str,
    /// Whether it is listed to clients of EventStoreDB.
    is_advertised: bool,
}

const STREAMS: Service =
    Service { name: "event_store.client.streams.Streams", is_advertised: true };
const SERVER_FEATURES: Service =
    Service { name: "event_store.client.server_features.ServerFeatures", is_advertised: true };
const GOSSIP: Service = Service { name: "event_store.client.gossip.Gossip", is_advertised: true };
const MONITORING: Service =
    Service { name: "event_store.client.monitoring.Monitoring", is_advertised: true };
/// Our own service, for remote modules.
const STORE: Service = Service { name: "bascule.store.v1.Store", is_advertised: false };

/// The right that an account needs for a call, before the request itself is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needs {
    /// No account is needed: clients call this before they authenticate.
    Nothing,
    /// This right.
    This(Right),
    /// Any right to write.
    ToWrite,
    /// The right to write some module's streams.
    SomeModule,
}

impl Needs {
    /// Refuses an account without the right.
    fn of(&self, caller: &Caller) -> Result<(), Refusal> {
        match self {
            Self::Nothing => Ok(()),
            Self::This(right) => caller.needs(right),
            Self::ToWrite if caller.writes() => Ok(()),
            Self::ToWrite => Err(Refusal::Forbidden(
                "this call requires the right append, system or module:<name>".to_owned(),
            )),
            Self::SomeModule => caller.needs_any_module(),
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("none (no account needed)"),
            Self::This(right) => write!(formatter, "`{right}`"),
            Self::ToWrite => formatter
                .write_str("`append`, `system` or `module:<name>`, depending on the stream"),
            Self::SomeModule => formatter.write_str("`module:<name>`"),
        }
    }
}

/// How large a request may be, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    /// A request of a few bytes.
    Fewest,
    /// A request without events.
    Little,
    /// The events of one append.
    Append,
    /// A stream of appends, for as long as the client keeps the call open: each append has a deadline.
    Appends,
}

impl Sends {
    /// Returns the maximum bytes of the request; `None` where each part of it has a limit of its own.
    pub(crate) fn most_bytes(self) -> Option<usize> {
        match self {
            Self::Fewest => Some(FEWEST_BYTES),
            Self::Little => Some(LITTLE_BYTES),
            Self::Append => Some(APPEND_BYTES),
            Self::Appends => None,
        }
    }

    /// Returns how long the request may take to arrive; `None` where each part of it has a deadline.
    pub(crate) fn within(self) -> Option<Duration> {
        match self {
            Self::Fewest | Self::Little => Some(LITTLE_WITHIN),
            Self::Append => Some(APPEND_WITHIN),
            Self::Appends => None,
        }
    }
}

impl fmt::Display for Sends {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        let (Some(bytes), Some(within)) = (self.most_bytes(), self.within()) else {
            return formatter.write_str("limited per append");
        };
        let (number, unit) =
            if bytes < KIB * KIB { (bytes / KIB, "KiB") } else { (bytes / KIB / KIB, "MiB") };
        write!(formatter, "{number} {unit} within {} s", within.as_secs())
    }
}

/// A value of the label `method` of `wire_requests_total`. Only this table makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric(&'static str);

impl Metric {
    /// Returns the label's value.
    pub(crate) fn label(self) -> &'static str {
        self.0
    }
}

/// Label of a request for a call that is not in the table.
pub(crate) const UNKNOWN: Metric = Metric("other");
/// Label of each append of a [`BATCH_APPEND`].
pub(crate) const APPEND_OF_BATCH: Metric = Metric("batch_append");

/// A call that the endpoint answers.
#[derive(Debug)]
pub(crate) struct Call {
    service: Service,
    /// Its name in the service.
    name: &'static str,
    /// Its metric label.
    pub(crate) metric: Metric,
    /// The right that it requires.
    pub(crate) needs: Needs,
    /// The limits of its request.
    pub(crate) sends: Sends,
    /// Its description, for the documentation.
    about: &'static str,
}

impl Call {
    /// Refuses a caller that may not make the call at all. The services check the right to the stream.
    pub(crate) fn admits(&self, caller: &Caller) -> Result<(), Refusal> {
        self.needs.of(caller)
    }
}

/// Defines a constant for each call, and the table of all, so that no call is missing from it:
///
/// ```text
/// /// Constant: service, name in the service, label of the metric, right, request, what it does.
/// READ: STREAMS, "Read", "read", Needs::This(Right::Read), Sends::Little, "reads …";
/// ```
macro_rules! calls {
    ($(
        $constant:ident: $service:ident, $name:literal, $metric:literal, $needs:expr, $sends:expr,
        $about:literal;
    )+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $about, ".")]
            pub(crate) static $constant: Call = Call {
                service: $service,
                name: $name,
                metric: Metric($metric),
                needs: $needs,
                sends: $sends,
                about: $about,
            };
        )+
        /// Every call, service by service.
        static CALLS: &[&Call] = &[$(&$constant),+];
    };
}

calls! {
    READ: STREAMS, "Read", "read", Needs::This(Right::Read), Sends::Little,
        "reads a stream or `$all`, forwards or backwards, filtered; subscribes";
    APPEND: STREAMS, "Append", "append", Needs::ToWrite, Sends::Append,
        "appends to one stream";
    BATCH_APPEND: STREAMS, "BatchAppend", "batch_append_call", Needs::ToWrite, Sends::Appends,
        "many appends over one call; each append is counted as `batch_append`";
    DELETE: STREAMS, "Delete", "delete", Needs::ToWrite, Sends::Little,
        "deletes the events of a stream, which may be written again";
    TOMBSTONE: STREAMS, "Tombstone", "tombstone", Needs::ToWrite, Sends::Little,
        "ends a stream for good; it cannot be written again";
    GET_SUPPORTED_METHODS: SERVER_FEATURES, "GetSupportedMethods", "get_supported_methods",
        Needs::Nothing, Sends::Fewest,
        "lists the supported calls of EventStoreDB's protocol";
    GOSSIP_READ: GOSSIP, "Read", "gossip", Needs::Nothing, Sends::Fewest,
        "returns one node, the leader";
    STATS: MONITORING, "Stats", "stats", Needs::This(Right::Read), Sends::Little,
        "returns the log's head and id at an interval; all other metrics are at `/metrics`";
    STORE_LOG: STORE, "Log", "store_log", Needs::This(Right::Read), Sends::Little,
        "returns the log's id, its head, and the event at a position";
    STORE_APPEND_MANY: STORE, "AppendMany", "store_append_many", Needs::SomeModule, Sends::Append,
        "appends to several streams of the module, all or nothing";
    STORE_FIND_IN_STREAM: STORE, "FindInStream", "store_find_in_stream",
        Needs::This(Right::Read), Sends::Little,
        "finds an event in a stream by its id";
    STORE_READ_CORRELATION: STORE, "ReadCorrelation", "store_read_correlation",
        Needs::This(Right::Read), Sends::Little,
        "reads the events of a correlation";
    STORE_EVENT_ID_AT: STORE, "EventIdAt", "store_event_id_at",
        Needs::This(Right::Read), Sends::Little,
        "returns the id of the event at a position";
    STORE_SEALING_KEY: STORE, "SealingKey", "store_sealing_key", Needs::SomeModule, Sends::Little,
        "returns the key that encrypts a person's data for the module";
    STORE_OPENING_KEY: STORE, "OpeningKey", "store_opening_key",
        Needs::This(Right::PersonalData), Sends::Little,
        "returns the key that decrypts a sealed value";
    STORE_IS_DESTROYED: STORE, "IsDestroyed", "store_is_destroyed", Needs::SomeModule,
        Sends::Little,
        "returns whether a person's key for the module is destroyed";
    STORE_DESTROY_KEYS: STORE, "DestroyKeys", "store_destroy_keys", Needs::This(Right::Erase),
        Sends::Little,
        "destroys the keys of erased people";
    STORE_LOOKUP_KEY: STORE, "LookupKey", "store_lookup_key", Needs::SomeModule, Sends::Fewest,
        "returns the key of the digests that look up requests and addresses";
}

/// Returns the call at the path of a request.
pub(crate) fn at(path: &str) -> Option<&'static Call> {
    let (service, name) = path.trim_start_matches('/').split_once('/')?;
    CALLS.iter().copied().find(|call| call.service.name == service && call.name == name)
}

/// Returns the services and calls that clients of EventStoreDB are offered.
pub(crate) fn advertised() -> impl Iterator<Item = (&'static str, &'static str)> {
    let advertised = CALLS.iter().filter(|call| call.service.is_advertised);
    advertised.map(|call| (call.service.name, call.name))
}

/// Returns the table as Markdown.
pub fn table() -> String {
    let mut table =
        "| call | what it does | right | request | counted as |\n|---|---|---|---|---|\n"
            .to_owned();
    for Call { service, name, metric, needs, sends, about } in CALLS {
        let service = service.name.rsplit('.').next().unwrap_or_default();
        let metric = metric.label();
        // Writing to a string never fails.
        let _ =
            writeln!(table, "| `{service}/{name}` | {about} | {needs} | {sends} | `{metric}` |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The calls that `proto/` declares.
    mod described {
        include!(concat!(env!("OUT_DIR"), "/calls.rs"));
    }

    #[test]
    fn every_call_that_is_described_is_in_the_table_and_no_other() {
        let described: BTreeSet<(&str, &str)> = described::CALLS.iter().copied().collect();
        let table: BTreeSet<(&str, &str)> =
            CALLS.iter().map(|call| (call.service.name, call.name)).collect();
        assert_eq!(table, described);
        assert_eq!(table.len(), CALLS.len(), "a call is in the table twice");
    }

    #[test]
    fn every_call_is_counted_as_something_of_its_own() {
        let mut labels: Vec<&str> = CALLS.iter().map(|call| call.metric.label()).collect();
        labels.extend([UNKNOWN, APPEND_OF_BATCH].map(Metric::label));
        let different: BTreeSet<&str> = labels.iter().copied().collect();
        assert_eq!(different.len(), labels.len(), "{labels:?}");
    }

    #[test]
    fn a_call_is_found_by_its_path() {
        let path = "/event_store.client.streams.Streams/Read";
        assert_eq!(at(path).map(|call| call.metric), Some(READ.metric));
        for path in ["", "/", "/event_store.client.streams.Streams/Undo", "/Streams/Read"] {
            assert!(at(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_table_tells_right_and_size() {
        let table = table();
        for row in [
            "| `Streams/Append` | appends to one stream | `append`, `system` or `module:<name>`, depending on \
             the stream | 18 MiB within 60 s | `append` |",
            "| `Store/DestroyKeys` | destroys the keys of erased people | `pii:erase` | \
             64 KiB within 10 s | `store_destroy_keys` |",
        ] {
            assert!(table.contains(row), "{row}\n{table}");
        }
    }
}
