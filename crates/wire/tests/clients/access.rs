//! Authentication and rights.

use std::collections::BTreeMap;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use eventstore::{Client, Error, ExpectedRevision, ReadStreamOptions};
use serde_json::json;
use wire::{AccountSettings, AccountsError, Right, Secret, StartError, TlsSettings, WireSettings};

use crate::harness::{TestServer, all_of, append, expecting, numbered, read};

/// `swordfish` as Argon2 makes of it, with little memory.
fn swordfish() -> String {
    let little = Params::new(64, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::default(), little);
    argon2.hash_password(b"swordfish").unwrap().to_string()
}

fn account(password: &str, rights: &[&str]) -> AccountSettings {
    AccountSettings {
        password: Some(Secret::new(password)),
        password_hash: None,
        rights: rights.iter().map(|right| right.parse().unwrap()).collect(),
    }
}

fn settings(accounts: impl IntoIterator<Item = (&'static str, AccountSettings)>) -> WireSettings {
    let accounts: BTreeMap<_, _> =
        accounts.into_iter().map(|(name, account)| (name.to_owned(), account)).collect();
    WireSettings { accounts, ..WireSettings::default() }
}

fn hashed(hash: &str) -> AccountSettings {
    AccountSettings {
        password: None,
        password_hash: Some(Secret::new(hash)),
        rights: vec![Right::Read, Right::Append],
    }
}

async fn denied(client: &Client) {
    let any = expecting(ExpectedRevision::Any);
    let refused = client.append_to_stream("s", &any, numbered(0)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    let events = client.read_stream("s", &ReadStreamOptions::default()).await;
    let refused = match events {
        Ok(events) => all_of(events).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    let batches = client.batch_append(&Default::default()).await.unwrap();
    let refused = batches.append_to_stream("s", ExpectedRevision::Any, vec![numbered(0)]).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn only_the_right_credentials_open() {
    let settings = settings([
        ("ada", account("swordfish", &["read", "append"])),
        ("grace", hashed(&swordfish())),
    ]);
    let server = TestServer::start_with(settings).await;
    for name in ["ada", "grace"] {
        // Twice: what was right is remembered, what was wrong is not.
        for _ in 0..2 {
            append(&server.client_of(name, "swordfish"), name, 1).await;
            denied(&server.client_of(name, "sword")).await;
        }
    }
    denied(&server.client_of("nobody", "swordfish")).await;
    denied(&server.client()).await;
    let events = read(&server.client_of("ada", "swordfish"), "grace").await.unwrap();
    assert_eq!(events.len(), 2);
    let stored = server.store.read_log(0, &kernel::event::EventFilter::all(), 10).await.unwrap();
    let actors: Vec<_> = stored.events.iter().map(|event| event.metadata.actor.as_str()).collect();
    assert_eq!(actors, ["ada", "ada", "grace", "grace"]);
}

#[tokio::test]
async fn an_account_does_what_it_has_the_right_to() {
    let settings = settings([
        ("reader", account("a", &["read"])),
        ("writer", account("b", &["append"])),
        ("system", account("c", &["read", "system"])),
    ]);
    let server = TestServer::start_with(settings).await;
    let reader = server.client_of("reader", "a");
    let writer = server.client_of("writer", "b");
    let system = server.client_of("system", "c");
    let any = expecting(ExpectedRevision::Any);
    append(&writer, "s", 1).await;
    assert_eq!(read(&reader, "s").await.unwrap().len(), 1);
    for (client, stream) in [(&reader, "s"), (&system, "s"), (&writer, "$settings")] {
        let refused = client.append_to_stream(stream, &any, numbered(0)).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{stream}: {refused:?}");
    }
    let refused = read(&writer, "s").await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    append(&system, "$settings", 1).await;
    assert_eq!(read(&reader, "$settings").await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_but_a_module_writes_its_streams_or_its_events() {
    let settings = settings([
        ("free", account("a", &["read", "append", "system"])),
        ("orders", account("b", &["read", "append", "module:orders"])),
    ]);
    let server = TestServer::start_with(settings).await;
    let (free, orders) = (server.client_of("free", "a"), server.client_of("orders", "b"));
    let event = |name: &str| eventstore::EventData::json(name, &json!({})).unwrap();
    let any = expecting(ExpectedRevision::Any);
    let placed = "orders.OrderPlaced.v1";
    for (client, stream, name) in [
        (&free, "order-1", placed),
        (&free, "order-1", "Anything"),
        // Policies of other modules act upon it, wherever it stands.
        (&free, "s", placed),
        (&orders, "s", placed),
        (&orders, "invoice-1", placed),
        (&orders, "order-1", "billing.InvoicePaid.v1"),
        (&free, "$$order-1", "$metadata"),
        (&orders, "$$order-1", "$metadata"),
    ] {
        let refused = client.append_to_stream(stream, &any, event(name)).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{stream}, {name}: {refused:?}");
    }
    for client in [&free, &orders] {
        let refused = client.delete_stream("order-1", &Default::default()).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
        let refused = client.tombstone_stream("order-1", &Default::default()).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    }
    // Data that no reader could decode as an event of a module.
    let refused = orders.append_to_stream("order-1", &any, {
        eventstore::EventData::json(placed, &json!(["no object"])).unwrap()
    });
    assert!(matches!(refused.await, Err(Error::Grpc { .. })));
    let told = json!({ "actor": "Ada", "origin_system": "elsewhere" });
    let event = event(placed).metadata_as_json(&told).unwrap();
    orders.append_to_stream("order-1", &any, event).await.unwrap();
    let events = read(&free, "order-1").await.unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&events[0].custom_metadata).unwrap();
    assert_eq!(metadata["actor"], "Ada");
    assert_eq!(metadata["origin_system"], "elsewhere");
    assert!(metadata["recorded_at"].is_string() && metadata["$correlationId"].is_string());
}

#[tokio::test]
async fn nobody_ends_a_stream_or_describes_one_by_an_event_of_his_own() {
    let settings = settings([("free", account("a", &["read", "append", "system"]))]);
    let server = TestServer::start_with(settings).await;
    let client = server.client_of("free", "a");
    let any = expecting(ExpectedRevision::Any);
    for name in ["$streamDeleted", "$metadata"] {
        for stream in ["s", "$s"] {
            let event = eventstore::EventData::json(name, &json!({})).unwrap();
            match client.append_to_stream(stream, &any, event).await {
                Err(Error::Grpc { code, message }) => {
                    assert_eq!(format!("{code:?}"), "InvalidArgument", "{message}");
                }
                other => panic!("{name} to {stream}: {other:?}"),
            }
        }
    }
    append(&client, "s", 1).await;
    assert_eq!(read(&client, "s").await.unwrap().len(), 1);
}

async fn refused(settings: WireSettings) -> StartError {
    let store: std::sync::Arc<dyn kernel::store::EventStore> = std::sync::Arc::new(
        kernel::memory::MemoryStore::new(std::sync::Arc::new(kernel::seams::SystemClock)),
    );
    let vault: std::sync::Arc<dyn kernel::keys::KeyVault> =
        std::sync::Arc::new(kernel::keys::MemoryKeyVault::default());
    let served = crate::harness::served(&store, &vault);
    match wire::WireServer::start(&settings, served).await {
        Err(error) => error,
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn a_server_that_others_reach_refuses_to_start_without_accounts_and_tls() {
    let listen = Some("0.0.0.0:0".parse().unwrap());
    let tls = Some(TlsSettings { certificate: "/none.pem".into(), key: "/none.key".into() });
    let some = || settings([("grace", hashed(&swordfish()))]);

    let error = refused(WireSettings { listen, ..WireSettings::default() }).await;
    assert!(matches!(error, StartError::Accounts(AccountsError::OpenToEverybody(_))), "{error}");
    let error = refused(WireSettings { listen, ..some() }).await;
    assert!(matches!(error, StartError::Accounts(AccountsError::InTheClear(_))), "{error}");
    let plain = settings([("ada", account("a", &["read"]))]);
    let error = refused(WireSettings { listen, tls: tls.clone(), ..plain }).await;
    assert!(matches!(error, StartError::Accounts(AccountsError::PlainPassword(_))), "{error}");
    let error = refused(WireSettings { listen, tls, ..some() }).await;
    assert!(matches!(error, StartError::TlsFile { .. }), "{error}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    let listen = Some("127.0.0.1:0".parse().unwrap());
    for (name, account) in [
        ("a", hashed("swordfish")),
        ("b", hashed("$scrypt$ln=16,r=8,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo")),
        ("c", AccountSettings { password: None, password_hash: None, rights: Vec::new() }),
        ("d", account("a", &["module:none"])),
        ("e:f", account("a", &["read"])),
    ] {
        let error = refused(WireSettings { listen, ..settings([(name, account)]) }).await;
        assert!(matches!(error, StartError::Accounts(_)), "{name}: {error}");
        assert!(!error.to_string().contains("swordfish"), "{error}");
    }
}
