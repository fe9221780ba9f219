//! `bascule-bench`: it measures what it says it does, and leaves other people's stores alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use kernel::event::{EventFilter, Metadata, NewEvent, RecordedEvent, StreamName};
use kernel::keys::SecretKey;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::{AppendRequest, ExpectedRevision};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use store_sqlx::{Opened, StoreOptions};
use tempfile::TempDir;

/// A folder with a store of its own.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("bascule.db").display())
    }

    /// The command without a store.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bascule-bench"));
        command
            .current_dir(self.0.path())
            .env_remove("BASCULE_STORE")
            .env_remove("BASCULE_MASTER_KEY");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).args(["--store", &self.url()]).output().unwrap()
    }

    fn measured(&self, arguments: &[&str]) -> Value {
        let output =
            self.run(&[arguments, &["--clients", "2", "--seconds", "0.2", "--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn open(&self) -> Opened {
        let key = SecretKey::from_hex(&"0".repeat(64)).unwrap();
        let (clock, options) = (Arc::new(SystemClock), StoreOptions::default());
        store_sqlx::open(&self.url(), &key, clock, options).await.unwrap()
    }

    /// Every event of the store.
    async fn events(&self) -> Vec<Arc<RecordedEvent>> {
        let opened = self.open().await;
        let page = opened.store.read_log(0, &EventFilter::all(), 1_000_000).await.unwrap();
        opened.close().await;
        page.events
    }

    /// Appends an event that no benchmark wrote.
    async fn somebody_writes(&self) {
        let opened = self.open().await;
        let metadata = Metadata {
            correlation_id: new_id(),
            causation_id: None,
            traceparent: None,
            actor: "ada".into(),
            origin_system: "test".into(),
            occurred_at: SystemClock.now(),
        };
        let event = NewEvent {
            id: new_id(),
            event_type: "orders.OrderConfirmed.v1".into(),
            data: json!({}).to_string().into_bytes(),
            metadata,
            foreign: None,
        };
        let stream = StreamName::of("order", new_id());
        let request =
            AppendRequest { stream, expected: ExpectedRevision::NoStream, events: vec![event] };
        opened.store.append(request).await.unwrap();
        opened.close().await;
    }

    /// Waits until the log has some events.
    async fn until_log_holds(&self, events: u64, child: &mut Child) {
        while !self.0.path().join("bascule.db").exists() {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            tokio::task::yield_now().await;
        }
        let opened = self.open().await;
        while opened.store.head().await.unwrap() < events {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            tokio::task::yield_now().await;
        }
        opened.close().await;
    }
}

#[tokio::test]
async fn appends_go_to_fresh_streams_or_let_streams_grow() {
    let data = Data::new();
    let result = data.measured(&["append", "--batch", "3"]);
    assert!(result["events_per_s"].as_f64().unwrap() > 0.0, "{result}");
    assert!(result["p50_ms"].as_f64() <= result["p99_ms"].as_f64(), "{result}");
    assert_eq!(result["interrupted"], false);
    let written = data.events().await;
    // The first request of each client is not counted.
    assert_eq!(written.len() as u64, result["events"].as_u64().unwrap() + 2 * 3, "{result}");
    assert!(written.iter().all(|event| event.revision < 3));
    assert_eq!(written[0].data.len(), 300);

    let data = Data::new();
    let result = data.measured(&["append", "--streams", "2"]);
    let written = data.events().await;
    assert_eq!(written.len() as u64, result["events"].as_u64().unwrap() + 2);
    let first = written.iter().filter(|event| event.revision == 0).count();
    assert_eq!(first, 4, "two streams of each of two clients");
}

#[tokio::test]
async fn reading_fills_an_empty_log_once_and_gives_all_of_it() {
    let data = Data::new();
    let result = data.measured(&["read", "--preload", "2345"]);
    assert!(result["events"].as_u64().unwrap() > 0, "{result}");
    data.measured(&["read", "--preload", "2345"]);
    assert_eq!(data.events().await.len(), 2345);
}

#[tokio::test]
async fn commands_take_orders_through_their_life() {
    let data = Data::new();
    data.measured(&["command"]);
    let written = data.events().await;
    for (revision, expected) in [
        (0, "orders.OrderPlaced.v1"),
        (1, "orders.OrderConfirmed.v1"),
        (2, "orders.OrderFulfilled.v1"),
    ] {
        let mut of_it = written.iter().filter(|event| event.revision == revision).peekable();
        assert!(of_it.peek().is_some(), "{expected}");
        assert!(of_it.all(|event| &*event.event_type == expected), "{expected}");
    }
}

#[tokio::test]
async fn a_store_that_somebody_needs_is_left_alone() {
    let data = Data::new();
    data.somebody_writes().await;
    let before = data.events().await.len();
    for workload in ["append", "command"] {
        let output = data.run(&[workload, "--seconds", "0.2"]);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("--force"), "{told}");
    }
    data.measured(&["read", "--preload", "100"]);
    assert_eq!(data.events().await.len(), before);
    data.measured(&["append", "--force"]);
    assert!(data.events().await.len() > before);
}

#[tokio::test]
async fn a_store_must_be_named() {
    let data = Data::new();
    for workload in ["append", "read", "command"] {
        let output = data.command().arg(workload).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--store"), "{output:?}");
    }
    assert_eq!(std::fs::read_dir(data.0.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_interrupted_measurement_tells_what_it_has_and_fails() {
    let data = Data::new();
    let mut bench = data.command();
    let bench = bench.args(["append", "--clients", "1", "--seconds", "3600", "--json", "--store"]);
    let mut bench = bench.arg(data.url()).stdout(Stdio::piped()).spawn().unwrap();
    data.until_log_holds(10, &mut bench).await;
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["interrupted"], true);
    assert!(result["events"].as_u64().unwrap() > 0);
    assert!(result["seconds"].as_f64().unwrap() < 3600.0);
}
