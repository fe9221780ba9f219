//! The service as a remote module calls it.

use kernel::codec::Codec;
use kernel::keys::{KeyVault, MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::EventStore;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::ownership::Ownership;
use crate::scavenging::Scavenger;
use crate::settings::WireSettings;

/// The service on a store in memory. `orders` may write what is that module's, `auditor` may read,
/// personal data too.
fn service() -> StoreService {
    StoreService(endpoint())
}

/// An endpoint for services that are called without a connection.
pub(crate) fn endpoint() -> Arc<Endpoint> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let vault: Arc<dyn KeyVault> = Arc::new(MemoryKeyVault::default());
    let ownership = Ownership::new([("order", "orders"), ("invoice", "billing")]);
    let address = "127.0.0.1:2113".parse().unwrap();
    let settings = WireSettings::default();
    let (scavenger, _) =
        Scavenger::new(Arc::clone(&store), ownership.clone(), Arc::new(SystemClock));
    Arc::new(Endpoint {
        store,
        codec: Codec::new(Arc::clone(&vault)),
        vault,
        clock: Arc::new(SystemClock),
        accounts: Accounts::new(&settings, address, &ownership).unwrap(),
        capacity: Capacity::default(),
        ownership,
        scavenger,
        instance: new_id(),
        address,
        stopping: CancellationToken::new(),
    })
}

/// A request of a caller that the guard has authenticated.
pub(crate) fn from<T>(name: &str, message: T) -> Request<T> {
    let caller = match name {
        "orders" => Caller::of(name, &[Right::Module("orders".to_owned())]),
        _ => Caller::of(name, &[Right::Read, Right::PersonalData]),
    };
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

fn event(event_type: &str) -> wire::NewEvent {
    wire::NewEvent {
        id: bytes(new_id()),
        event_type: event_type.to_owned(),
        data: b"{}".to_vec(),
        metadata: Some(wire::Metadata {
            correlation_id: bytes(new_id()),
            causation_id: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            actor: "api".to_owned(),
            origin_system: "bascule".to_owned(),
            occurred_at: SystemClock.now().timestamp_micros(),
        }),
    }
}

const PLACED: &str = "orders.OrderPlaced.v1";

fn append(
    stream: &str,
    expected: ExpectedRevision,
    events: Vec<wire::NewEvent>,
) -> wire::append_many_request::StreamAppend {
    let (stream, expected) = (stream.to_owned(), Some(expected_message(expected)));
    wire::append_many_request::StreamAppend { stream, expected, events }
}

async fn append_many(
    service: &StoreService,
    appends: Vec<wire::append_many_request::StreamAppend>,
) -> Result<Outcome, Status> {
    let request = from("orders", wire::AppendManyRequest { appends, remembered: None });
    service.append_many(request).await.map(|answer| answer.into_inner().outcome.unwrap())
}

#[tokio::test]
async fn several_streams_are_written_all_or_nothing_and_read_as_they_were_written() {
    let service = service();
    let (first, second) = (event(PLACED), event(PLACED));
    let appends = vec![
        append("order-1", ExpectedRevision::NoStream, vec![first.clone()]),
        append("order-2", ExpectedRevision::NoStream, vec![second.clone(), event(PLACED)]),
    ];
    let outcome = append_many(&service, appends.clone()).await.unwrap();
    let last = |revision, position, repeated| Last { revision, position, repeated };
    let places = vec![last(0, 1, false), last(1, 3, false)];
    assert_eq!(outcome, Outcome::Appended(Appended { places }));
    let outcome = append_many(&service, appends).await.unwrap();
    let places = vec![last(0, 1, true), last(1, 3, true)];
    assert_eq!(outcome, Outcome::Appended(Appended { places }));

    // One conflict, and nothing of the other stream either.
    let appends = vec![
        append("order-1", ExpectedRevision::Revision(0), vec![event(PLACED)]),
        append("order-2", ExpectedRevision::NoStream, vec![event(PLACED)]),
    ];
    let outcome = append_many(&service, appends).await.unwrap();
    let refused = Reason::WrongExpectedRevision(WrongExpectedRevision {
        stream: "order-2".to_owned(),
        expected: Some(expected_message(ExpectedRevision::NoStream)),
        actual: Some(1),
    });
    assert_eq!(outcome, Outcome::Refused(Refused { reason: Some(refused) }));
    let log = service
        .log(from("auditor", wire::LogRequest { remembered: None }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(log.head, 3);
    assert_eq!(log.log_id, bytes(service.0.store.log_id()));

    let correlation_id = first.metadata.clone().unwrap().correlation_id;
    let request = wire::ReadCorrelationRequest { correlation_id, after: 0, limit: 10 };
    let read = service.read_correlation(from("auditor", request)).await.unwrap().into_inner();
    assert_eq!(read.events.len(), 1);
    assert_eq!((read.events[0].position, read.events[0].revision), (1, 0));
    assert_eq!(read.events[0].event, Some(first));

    let find = |event_id| wire::FindInStreamRequest { stream: "order-2".to_owned(), event_id };
    let found = service.find_in_stream(from("auditor", find(second.id.clone()))).await.unwrap();
    let found = found.into_inner().place;
    assert_eq!(found, Some(Place { revision: 0, position: 2 }));
    let found = service.find_in_stream(from("auditor", find(bytes(new_id())))).await.unwrap();
    assert_eq!(found.into_inner().place, None);
    let at = |position| wire::EventIdAtRequest { position };
    let id = service.event_id_at(from("auditor", at(2))).await.unwrap().into_inner().event_id;
    assert_eq!(id, Some(second.id));
    let id = service.event_id_at(from("auditor", at(9))).await.unwrap().into_inner().event_id;
    assert_eq!(id, None);
}

#[tokio::test]
async fn what_was_decided_on_an_event_that_is_gone_is_not_appended() {
    let service = service();
    let first = event(PLACED);
    let appends = vec![append("order-1", ExpectedRevision::NoStream, vec![first.clone()])];
    append_many(&service, appends).await.unwrap();
    let look = wire::LogRequest { remembered: Some(1) };
    let log = service.log(from("auditor", look)).await.unwrap().into_inner();
    assert_eq!(log.head_event_id, Some(first.id.clone()));
    assert_eq!(log.remembered_event_id, Some(first.id.clone()));
    let after = async |position, event_id| {
        let remembered = Some(Remembered { position, event_id });
        let appends = vec![append("order-1", ExpectedRevision::Any, vec![event(PLACED)])];
        let request = wire::AppendManyRequest { appends, remembered };
        let answer = service.append_many(from("orders", request)).await.unwrap();
        answer.into_inner().outcome.unwrap()
    };
    for (position, event_id) in [(1, bytes(new_id())), (2, first.id.clone())] {
        let refused = Refused { reason: Some(Reason::WentBack(WentBack {})) };
        assert_eq!(after(position, event_id).await, Outcome::Refused(refused));
    }
    assert!(matches!(after(1, first.id).await, Outcome::Appended(_)));
}

#[tokio::test]
async fn a_module_writes_its_own_streams_and_events_only() {
    let service = service();
    for (stream, event_type) in [
        ("invoice-1", "billing.InvoiceIssued.v1"),
        ("order-1", "billing.InvoiceIssued.v1"),
        ("free-1", PLACED),
        ("$system", PLACED),
    ] {
        let appends = vec![append(stream, ExpectedRevision::Any, vec![event(event_type)])];
        let status = append_many(&service, appends).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{stream}, {event_type}");
    }
    let appends = vec![append("order-1", ExpectedRevision::Any, vec![event(PLACED)])];
    let request = wire::AppendManyRequest { appends, remembered: None };
    let status = service.append_many(from("auditor", request)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(service.0.store.head().await.unwrap(), 0);
}

#[tokio::test]
async fn a_module_writes_only_what_its_readers_can_read() {
    let service = service();
    let nested = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    for data in
        ["", "[]", "7", "{", "\u{0}", r#"{"name":{"$sealed":7}}"#, r#"{"$sealed":"x"}"#, &nested]
    {
        let event = wire::NewEvent { data: data.into(), ..event(PLACED) };
        let appends = vec![append("order-1", ExpectedRevision::Any, vec![event])];
        let status = append_many(&service, appends).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{data}");
    }
    assert_eq!(service.0.store.head().await.unwrap(), 0);
}

#[tokio::test]
async fn keys_are_handed_to_those_who_need_them() {
    let service = service();
    let subject = new_id();
    let sealing = |purpose: &str| wire::SealingKeyRequest {
        subject: bytes(subject),
        purpose: purpose.to_owned(),
    };
    let key = service.sealing_key(from("orders", sealing("orders"))).await.unwrap();
    let key = key.into_inner().key.unwrap();
    for (name, purpose) in [("orders", "billing"), ("auditor", "orders")] {
        let status = service.sealing_key(from(name, sealing(purpose))).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{name}, {purpose}");
    }
    let opening = || wire::OpeningKeyRequest { key_id: key.id.clone() };
    let status = service.opening_key(from("orders", opening())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let opened = service.opening_key(from("auditor", opening())).await.unwrap().into_inner();
    assert_eq!(opened.key.as_ref(), Some(&key.key));

    // What is sealed here opens there.
    let sealing_key = |bytes: &[u8]| SecretKey::from_hex(&hex_of(bytes)).unwrap();
    let sealed = sealing_key(&key.key).seal(b"Ada", b"place").unwrap();
    assert_eq!(sealing_key(&opened.key.unwrap()).open(&sealed, b"place").unwrap(), b"Ada");

    let is_destroyed =
        || wire::IsDestroyedRequest { subject: bytes(subject), purpose: "orders".to_owned() };
    let answer = service.is_destroyed(from("orders", is_destroyed())).await.unwrap();
    assert!(!answer.into_inner().destroyed);
    service.0.vault.destroy(&[subject], &[]).await.unwrap();
    let answer = service.is_destroyed(from("orders", is_destroyed())).await.unwrap();
    assert!(answer.into_inner().destroyed);
    let opened = service.opening_key(from("auditor", opening())).await.unwrap().into_inner();
    assert_eq!(opened.key, None);
    let key = service.sealing_key(from("orders", sealing("orders"))).await.unwrap();
    assert_eq!(key.into_inner().key, None);
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_error_of_an_append_travels_as_what_it_is() {
    let stream = StreamName::new("order-1").unwrap();
    let event_id = new_id();
    for (error, expected) in [
        (
            AppendError::IdempotencyMismatch { stream, event_id },
            Reason::IdempotencyMismatch(IdempotencyMismatch {
                stream: "order-1".to_owned(),
                event_id: bytes(event_id),
            }),
        ),
        (
            AppendError::EventTooLarge { event_id, size: 9, limit: 8 },
            Reason::EventTooLarge(EventTooLarge { event_id: bytes(event_id), size: 9, limit: 8 }),
        ),
        (AppendError::Invalid("x".to_owned()), Reason::Invalid("x".to_owned())),
        (AppendError::Overloaded, Reason::Overloaded(Overloaded {})),
        (AppendError::Unsupported("x"), Reason::Unsupported("x".to_owned())),
        (AppendError::Unavailable("gone".into()), Reason::Unavailable("gone".to_owned())),
        (AppendError::WentBack, Reason::WentBack(WentBack {})),
        (AppendError::OutcomeUnknown("lost".into()), Reason::OutcomeUnknown("lost".to_owned())),
    ] {
        assert_eq!(reason(error), expected);
    }
}
