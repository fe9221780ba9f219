//! `bascule bench`: it measures what it says it does, and leaves other people's stores alone.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::Data;

fn measured(data: &Data, arguments: &[&str]) -> Value {
    let short = ["--clients", "2", "--seconds", "0.2", "--json"];
    serde_json::from_str(&data.run_ok(&[&["bench"], arguments, &short].concat())).unwrap()
}

/// Events per type and stream in the store.
fn events(data: &Data) -> Vec<Value> {
    let printed = data.run_ok(&["events", "tail", "--lines", "1000000", "--json"]);
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn appends_go_to_fresh_streams_or_let_streams_grow() {
    let data = Data::new();
    let result = measured(&data, &["append", "--batch", "3"]);
    assert!(result["events_per_s"].as_f64().unwrap() > 0.0, "{result}");
    assert!(result["p50_ms"].as_f64() <= result["p99_ms"].as_f64(), "{result}");
    assert_eq!(result["interrupted"], false);
    let written = events(&data);
    // The first request of each client is not counted.
    assert_eq!(written.len() as u64, result["events"].as_u64().unwrap() + 2 * 3, "{result}");
    assert!(written.iter().all(|event| event["revision"].as_u64().unwrap() < 3));
    assert_eq!(written[0]["data"].to_string().len(), 300);

    let data = Data::new();
    let result = measured(&data, &["append", "--streams", "2"]);
    let written = events(&data);
    assert_eq!(written.len() as u64, result["events"].as_u64().unwrap() + 2);
    let first = written.iter().filter(|event| event["revision"] == 0).count();
    assert_eq!(first, 4, "two streams of each of two clients");
}

#[test]
fn reading_fills_an_empty_log_once_and_gives_all_of_it() {
    let data = Data::new();
    let result = measured(&data, &["read", "--preload", "2345"]);
    assert!(result["events"].as_u64().unwrap() > 0, "{result}");
    measured(&data, &["read", "--preload", "2345"]);
    assert_eq!(events(&data).len(), 2345);
}

#[test]
fn commands_take_orders_through_their_life() {
    let data = Data::new();
    measured(&data, &["command"]);
    let written = events(&data);
    for (revision, expected) in
        ["orders.OrderPlaced.v1", "orders.OrderConfirmed.v1", "orders.OrderFulfilled.v1"]
            .iter()
            .enumerate()
    {
        let of_it = written.iter().filter(|event| event["revision"] == revision);
        assert!(of_it.clone().count() > 0, "{expected}");
        assert!(of_it.clone().all(|event| event["type"] == *expected), "{expected}");
    }
}

#[tokio::test]
async fn a_store_that_somebody_needs_is_left_alone() {
    let data = Data::new();
    let mut server = data.serve();
    server.register_customer("ada@exemple.fr").await;
    assert!(server.stop().success());
    let before = events(&data).len();
    for workload in ["append", "command"] {
        let output = data.run(&["bench", workload, "--seconds", "0.2"]);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("--force"), "{told}");
    }
    measured(&data, &["read", "--preload", "100"]);
    assert_eq!(events(&data).len(), before);
    measured(&data, &["append", "--force"]);
    assert!(events(&data).len() > before);
}

#[test]
fn the_usual_store_is_not_measured_unless_it_is_named() {
    let data = Data::new();
    for workload in ["append", "read", "command"] {
        let output = data.bascule().env_remove("BASCULE_STORE").args(["bench", workload]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--store"), "{output:?}");
    }
    assert!(!data.path("data").exists());
}

#[tokio::test]
async fn an_interrupted_measurement_tells_what_it_has_and_fails() {
    let data = Data::new();
    let mut bench = data.bascule();
    let arguments = ["bench", "append", "--clients", "1", "--seconds", "3600", "--json"];
    let mut bench = bench.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    data.until_log_holds(10, &mut bench).await;
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["interrupted"], true);
    assert!(result["events"].as_u64().unwrap() > 0);
    assert!(result["seconds"].as_f64().unwrap() < 3600.0);
}
