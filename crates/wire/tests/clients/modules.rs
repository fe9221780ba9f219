//! The events of modules as others read them.

use eventstore::ReadStreamOptions;
use kernel::event::{Metadata, NewEvent, StreamName};
use kernel::keys::{KeyHolder, SealedValue};
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::{AppendRequest, ExpectedRevision};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::{AccountSettings, Secret, WireSettings};

use crate::harness::{TestServer, all_of, read};

fn settings() -> WireSettings {
    let account = |rights: &[&str]| AccountSettings {
        password: Some(Secret::new("x")),
        password_hash: None,
        rights: rights.iter().map(|right| right.parse().unwrap()).collect(),
    };
    let accounts = [("anybody", account(&["read"])), ("trusted", account(&["read", "pii:read"]))];
    let accounts = accounts.into_iter().map(|(name, account)| (name.to_owned(), account)).collect();
    WireSettings { accounts, ..WireSettings::default() }
}

/// Writes what a module would, about a person whose name is sealed.
async fn write_order(server: &TestServer, subject: Uuid) -> NewEvent {
    let holder = KeyHolder { subject, purpose: "orders".to_owned() };
    let key = server.vault.sealing_key(&holder).await.unwrap().unwrap();
    let id = new_id();
    let name = SealedValue::seal(&key, br#""Ada Martin""#, id).unwrap().to_text();
    let event = NewEvent {
        id,
        event_type: "orders.OrderPlaced.v1".into(),
        data: json!({ "customer": { "name": { "$sealed": name } }, "lines": [1] })
            .to_string()
            .into_bytes(),
        metadata: Metadata {
            correlation_id: new_id(),
            causation_id: Some(new_id()),
            traceparent: None,
            actor: "api".into(),
            origin_system: "bascule".into(),
            occurred_at: SystemClock.now(),
        },
        foreign: None,
    };
    let stream = StreamName::new("order-1").unwrap();
    let events = vec![event.clone()];
    let request = AppendRequest { stream, expected: ExpectedRevision::Any, events };
    server.store.append(request).await.unwrap();
    event
}

#[tokio::test]
async fn personal_data_is_sealed_but_for_those_who_may_read_it() {
    let server = TestServer::start_with(settings()).await;
    let (anybody, trusted) = (server.client_of("anybody", "x"), server.client_of("trusted", "x"));
    let subject = new_id();
    let written = write_order(&server, subject).await;

    let events = read(&anybody, "order-1").await.unwrap();
    assert_eq!(events[0].data, written.data, "as it is stored");
    assert!(events[0].is_json);
    let metadata: Value = serde_json::from_slice(&events[0].custom_metadata).unwrap();
    assert_eq!(metadata["$correlationId"], json!(written.metadata.correlation_id));
    assert_eq!(metadata["$causationId"], json!(written.metadata.causation_id));
    assert_eq!(metadata["actor"], "api");
    assert_eq!(metadata["origin_system"], "bascule");
    assert_eq!(metadata["occurred_at"], json!(written.metadata.occurred_at));
    assert!(metadata["recorded_at"].is_string());

    let events = read(&trusted, "order-1").await.unwrap();
    let opened = json!({ "customer": { "name": "Ada Martin" }, "lines": [1] });
    assert_eq!(events[0].as_json::<Value>().unwrap(), opened);
}

#[tokio::test]
async fn what_is_erased_is_told_to_be_so() {
    let server = TestServer::start_with(settings()).await;
    let subject = new_id();
    write_order(&server, subject).await;
    server.vault.destroy(&[subject], &[]).await.unwrap();
    let trusted = server.client_of("trusted", "x");
    let events = trusted.read_stream("order-1", &ReadStreamOptions::default()).await.unwrap();
    let events = all_of(events).await.unwrap();
    let erased = json!({ "customer": { "name": { "$erased": true } }, "lines": [1] });
    assert_eq!(events[0].as_json::<Value>().unwrap(), erased);
}

#[tokio::test]
async fn an_event_that_cannot_be_opened_is_given_out_as_it_is_stored() {
    let server = TestServer::start_with(settings()).await;
    let subject = new_id();
    let written = write_order(&server, subject).await;
    // As it may stand in a log that was written before it was looked at.
    let broken = [&b"no json"[..], br#"{"name":{"$sealed":"nothing"}}"#];
    for data in broken {
        let event = NewEvent { id: new_id(), data: data.to_vec(), ..written.clone() };
        let (stream, expected) = (StreamName::new("order-1").unwrap(), ExpectedRevision::Any);
        let request = AppendRequest { stream, expected, events: vec![event] };
        server.store.append(request).await.unwrap();
    }
    write_order(&server, subject).await;
    let events = read(&server.client_of("trusted", "x"), "order-1").await.unwrap();
    assert_eq!(events.len(), 4);
    assert_eq!([&*events[1].data, &*events[2].data], broken);
    assert_eq!(events[3].as_json::<Value>().unwrap()["customer"]["name"], "Ada Martin");
}
