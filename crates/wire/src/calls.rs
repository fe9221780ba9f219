//! The calls that the endpoint answers: one table of what each is counted as, which right it needs and
//! how much its request may bring. The guard, the services, the description of what is spoken and the
//! page `docs/wire.md` follow from it. What is not in it is answered UNIMPLEMENTED.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::accounts::Caller;
use crate::endpoint::MOST_MESSAGE_BYTES;
use crate::refusal::Refusal;
use crate::rights::Right;

/// Most bytes of a request that anybody may send.
const FEWEST_BYTES: usize = 1024;
/// Most bytes of a request that appends nothing.
const LITTLE_BYTES: usize = 64 * 1024;
/// Most bytes of an append, what surrounds its events included.
const APPEND_BYTES: usize = MOST_MESSAGE_BYTES + 1024 * 1024;
/// How long a request may take to come.
const LITTLE_WITHIN: Duration = Duration::from_secs(10);
const APPEND_WITHIN: Duration = Duration::from_secs(60);

/// A service of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its full name, as in the path of its calls.
    name: &'static str,
    /// Whether clients of EventStoreDB are told of it.
    is_advertised: bool,
}

const STREAMS: Service =
    Service { name: "event_store.client.streams.Streams", is_advertised: true };
const SERVER_FEATURES: Service =
    Service { name: "event_store.client.server_features.ServerFeatures", is_advertised: true };
const GOSSIP: Service = Service { name: "event_store.client.gossip.Gossip", is_advertised: true };
const MONITORING: Service =
    Service { name: "event_store.client.monitoring.Monitoring", is_advertised: true };
/// Our own, for modules that live elsewhere.
const STORE: Service = Service { name: "bascule.store.v1.Store", is_advertised: false };

/// What an account needs for a call, whatever the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Not even an account: clients ask this before they say who they are.
    Nothing,
    /// A certain right.
    This(Right),
    /// To write anything.
    ToWrite,
    /// To write what is a module's.
    SomeModule,
}

impl Needs {
    /// Refuses an account that lacks it.
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

impl fmt::Display for Needs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("none, and no account"),
            Self::This(right) => write!(formatter, "`{right}`"),
            Self::ToWrite => {
                formatter.write_str("`append`, `system` or `module:<name>`, as the stream needs")
            }
            Self::SomeModule => formatter.write_str("`module:<name>`"),
        }
    }
}

/// How a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    /// Next to nothing.
    Fewest,
    /// No events.
    Little,
    /// The events of one append.
    Append,
    /// Appends, one after another, for as long as the client likes: each has a deadline.
    Appends,
}

impl Sends {
    /// The most bytes that the request may have; `None` where each part of it has a limit of its own.
    pub(crate) fn most_bytes(self) -> Option<usize> {
        match self {
            Self::Fewest => Some(FEWEST_BYTES),
            Self::Little => Some(LITTLE_BYTES),
            Self::Append => Some(APPEND_BYTES),
            Self::Appends => None,
        }
    }

    /// How long the request may take to come; `None` where each part of it has a deadline.
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
            return formatter.write_str("that of each append");
        };
        let (number, unit) =
            if bytes < KIB * KIB { (bytes / KIB, "KiB") } else { (bytes / KIB / KIB, "MiB") };
        write!(formatter, "{number} {unit} within {} s", within.as_secs())
    }
}

/// What something is counted as: the label `method` of `wire_requests_total`. Only this table makes
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric(&'static str);

impl Metric {
    /// The label's value.
    pub(crate) fn label(self) -> &'static str {
        self.0
    }
}

/// A request for a call that is not in the table.
pub(crate) const UNKNOWN: Metric = Metric("other");
/// Each append of a [`BATCH_APPEND`].
pub(crate) const APPEND_OF_BATCH: Metric = Metric("batch_append");

/// A call that the endpoint answers.
#[derive(Debug)]
pub(crate) struct Call {
    service: Service,
    /// Its name in the service.
    name: &'static str,
    /// What metrics call it.
    pub(crate) metric: Metric,
    /// Which right it needs.
    pub(crate) needs: Needs,
    /// How its request comes.
    pub(crate) sends: Sends,
    /// What it does, for people.
    about: &'static str,
}

impl Call {
    /// Refuses a caller who may not make the call at all. Whose stream it is, the service asks.
    pub(crate) fn admits(&self, caller: &Caller) -> Result<(), Refusal> {
        self.needs.of(caller)
    }
}

/// Makes a constant of each call, and the table of all, so that no call is missing from it:
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
        "appends again and again over one call; each append is counted as `batch_append`";
    DELETE: STREAMS, "Delete", "delete", Needs::ToWrite, Sends::Little,
        "hides what a stream holds";
    TOMBSTONE: STREAMS, "Tombstone", "tombstone", Needs::ToWrite, Sends::Little,
        "ends a stream for good";
    GET_SUPPORTED_METHODS: SERVER_FEATURES, "GetSupportedMethods", "get_supported_methods",
        Needs::Nothing, Sends::Fewest,
        "lists the calls of EventStoreDB's protocol that are answered";
    GOSSIP_READ: GOSSIP, "Read", "gossip", Needs::Nothing, Sends::Fewest,
        "names one node, which leads";
    STATS: MONITORING, "Stats", "stats", Needs::This(Right::Read), Sends::Little,
        "tells the log's head and id, again and again; the rest is at `/metrics`";
    STORE_LOG: STORE, "Log", "store_log", Needs::This(Right::Read), Sends::Little,
        "tells the log's id, its head, and the event at a position";
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
        "tells the id of the event at a position";
    STORE_SEALING_KEY: STORE, "SealingKey", "store_sealing_key", Needs::SomeModule, Sends::Little,
        "gives the key that seals a person's data for the module";
    STORE_OPENING_KEY: STORE, "OpeningKey", "store_opening_key",
        Needs::This(Right::PersonalData), Sends::Little,
        "gives the key that opens a sealed value";
    STORE_IS_DESTROYED: STORE, "IsDestroyed", "store_is_destroyed", Needs::SomeModule,
        Sends::Little,
        "tells whether a person's key for the module is destroyed";
    STORE_DESTROY_KEYS: STORE, "DestroyKeys", "store_destroy_keys", Needs::This(Right::Erase),
        Sends::Little,
        "destroys the keys of people who are erased";
    STORE_LOOKUP_KEY: STORE, "LookupKey", "store_lookup_key", Needs::SomeModule, Sends::Fewest,
        "gives the key of the digests by which requests and addresses are looked up";
}

/// The call at the path of a request.
pub(crate) fn at(path: &str) -> Option<&'static Call> {
    let (service, name) = path.trim_start_matches('/').split_once('/')?;
    CALLS.iter().copied().find(|call| call.service.name == service && call.name == name)
}

/// The services and calls that clients of EventStoreDB are told of.
pub(crate) fn advertised() -> impl Iterator<Item = (&'static str, &'static str)> {
    let told = CALLS.iter().filter(|call| call.service.is_advertised);
    told.map(|call| (call.service.name, call.name))
}

/// Returns the table for people, as Markdown.
pub fn table() -> String {
    let mut table =
        "| call | what it does | right | request | counted as |\n|---|---|---|---|---|\n"
            .to_owned();
    for Call { service, name, metric, needs, sends, about } in CALLS {
        let service = service.name.rsplit('.').next().unwrap_or_default();
        let metric = metric.label();
        // Writing to a text never fails.
        let _ =
            writeln!(table, "| `{service}/{name}` | {about} | {needs} | {sends} | `{metric}` |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What `proto/` describes.
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
            "| `Streams/Append` | appends to one stream | `append`, `system` or `module:<name>`, as \
             the stream needs | 18 MiB within 60 s | `append` |",
            "| `Store/DestroyKeys` | destroys the keys of people who are erased | `pii:erase` | \
             64 KiB within 10 s | `store_destroy_keys` |",
        ] {
            assert!(table.contains(row), "{row}\n{table}");
        }
    }
}
