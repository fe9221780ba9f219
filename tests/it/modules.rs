//! The modules of this system. Tests go through this list: a further module is in it without an edit here.

use std::path::Path;

use serde_json::Value;

use crate::server::Data;

/// The modules whose course of an order the tests know.
const SAGA: [&str; 4] = ["customers", "orders", "billing", "payments"];

/// Returns the names of the modules, sorted: the folders of `domains/`.
pub(crate) fn modules() -> Vec<String> {
    let domains = Path::new(env!("CARGO_MANIFEST_DIR")).join("domains");
    let folders = std::fs::read_dir(domains).unwrap().map(|folder| folder.unwrap());
    let modules = folders.filter(|folder| folder.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> =
        modules.map(|module| module.file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(SAGA.iter().all(|name| names.iter().any(|one| one == name)), "{names:?}");
    names
}

/// Returns the number of events in the log that belong to the course of an order.
pub(crate) fn count_of_the_saga(data: &Data) -> usize {
    let printed = data.run_ok(&["events", "tail", "-n", "100000", "--json"]);
    let events = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(is_of_the_saga).count()
}

/// Returns whether an event is one of the course of an order. Events of further modules, such as the
/// notification of the customer, are recorded meanwhile and at any moment.
pub(crate) fn is_of_the_saga(event: &Value) -> bool {
    let module = event["type"].as_str().unwrap().split('.').next().unwrap();
    SAGA.contains(&module)
}
