//! What an import says it did, and what it exits with.

use std::time::Duration;

use super::*;
use crate::server::PATIENCE;

#[test]
fn what_waits_for_the_rest_of_a_snapshot_fails_and_is_counted() {
    let data = Data::new();
    let lines = std::fs::read_to_string(in_data("last-is-not-the-last.jsonl")).unwrap();
    let without_last: Vec<&str> = lines.lines().filter(|line| !line.contains("\"last\"")).collect();
    let file = data.path("feed.jsonl");
    std::fs::write(&file, without_last.join("\n")).unwrap();
    let mapping = in_data("mini.toml");
    for said in ["Imported 4 changes of mini", "No new changes of mini in these files"] {
        let output = import(&data, &mapping, &file, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output.stdout);
        assert!(told.contains(said), "{told}");
        assert!(told.contains("3 aggregates wait for the rest of the snapshot"), "{told}");
        assert!(told.contains("--snapshot-complete"), "{told}");
    }
    let done = summary(&import(&data, &mapping, &file, &["--json"]), 1);
    assert_eq!((&done["dirty"], &done["unfinished_snapshot"]), (&json!(3), &json!(true)));
    let whole = summary(&import(&data, &mapping, &file, &["--json", "--snapshot-complete"]), 0);
    assert_eq!((&whole["dirty"], &whole["commands"]["imported"]), (&json!(0), &json!(3)));
    let output = import(&data, &mapping, &file, &[]);
    assert!(text(&output.stdout).contains("the files were imported before"), "{output:?}");
}

#[test]
fn every_count_is_told() {
    let data = Data::new();
    let mapping = in_data("mini.toml");
    let output = import(&data, &mapping, &in_data("heartbeat.jsonl"), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("records of tables without a mapping: 1"), "{told}");
    assert!(told.contains("such as heartbeats: 1"), "{told}");
    let again = import(&data, &mapping, &in_data("heartbeat.jsonl"), &["--from-start"]);
    assert!(text(&again.stdout).contains("changes not newer than the mirror: 2"), "{again:?}");
    let json = summary(&import(&data, &mapping, &in_data("heartbeat.jsonl"), &["--json"]), 0);
    for count in ["not_newer", "behind", "unmapped", "no_change", "equal", "applied"] {
        assert!(json["changes"][count].is_u64(), "{json}");
    }
    for count in ["dirty", "waiting", "quarantined"] {
        assert_eq!(json[count], 0, "{json}");
    }
}

#[test]
fn changes_without_a_snapshot_are_told() {
    let data = Data::new();
    let mapping = in_data("mini.toml");
    let mut feed = Feed::default();
    feed.put("client", 1, json!({ "nom": "first" }));
    let file = feed.write(&data, "feed.jsonl");
    let said = "no snapshot record in these files";
    let output = import(&data, &mapping, &file, &[]);
    assert!(text(&output.stdout).contains(said), "{output:?}");
    // The mirror has rows by now.
    feed.put("client", 2, json!({ "nom": "second" }));
    let done = summary(&import(&data, &mapping, &feed.write(&data, "more.jsonl"), &["--json"]), 0);
    assert_eq!(done["no_snapshot"], false);
    let data = Data::new();
    let output = import(&data, &mapping, &in_data("last-is-not-the-last.jsonl"), &[]);
    assert!(!text(&output.stdout).contains(said), "{output:?}");
}

#[test]
fn files_that_hold_nothing_or_cannot_be_read_twice_are_told() {
    let data = Data::new();
    let mapping = in_data("mini.toml");
    let empty = data.path("empty.jsonl");
    std::fs::write(&empty, "").unwrap();
    let output = import(&data, &mapping, &empty, &[]);
    let told = text(&output.stdout);
    assert!(told.contains("empty.jsonl is empty") && !told.contains("imported before"), "{told}");
    let blank = data.path("blank.jsonl");
    std::fs::write(&blank, "\u{feff}\n  \n").unwrap();
    let told = import(&data, &mapping, &blank, &[]);
    let told = text(&told.stdout);
    assert!(told.contains("blank.jsonl is empty") && !told.contains("imported before"), "{told}");
    let output = import(&data, &mapping, &PathBuf::from("-"), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("write its output to a file first"), "{output:?}");
    let output = import(&data, &mapping, &in_data("shapes/key-none.jsonl"), &[]);
    assert!(text(&output.stderr).contains("message.key.columns"), "{output:?}");
    let output = import(&data, &mapping, &in_data("shapes/surrogate.jsonl"), &[]);
    assert!(text(&output.stderr).contains("half of a surrogate pair"), "{output:?}");
    let output = import(&data, &mapping, &in_data("shapes/ts-null.jsonl"), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn personal_columns_that_no_erasure_could_reach_are_refused() {
    let data = Data::new();
    let output = import(&data, &in_data("french.toml"), &in_data("french.jsonl"), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("tables.COMMANDES: `personal` columns"), "{output:?}");
    let mut check = data.bascule();
    let output = check.args(["mapping", "check"]).arg(in_data("french.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("tables.COMMANDES: `personal` columns"), "{output:?}");
}

/// The most memory, in MiB, that an import of this feed takes.
async fn peak(data: &Data, file: &Path) -> u64 {
    let mut import = data.bascule();
    import.args(["import", "--format", "debezium", "--json", "--mapping"]);
    import.arg(in_data("mini.toml")).arg(file).stdout(std::process::Stdio::null());
    let mut import = import.spawn().unwrap();
    let begun = std::time::Instant::now();
    let mut most = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", import.id()));
        let line = status.unwrap_or_default();
        let line = line.lines().find(|line| line.starts_with("VmHWM:")).map(str::to_owned);
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or_default() / 1024);
        if let Some(ended) = import.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return most;
        }
        assert!(begun.elapsed() < 5 * PATIENCE, "the import does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One order that gets a line in each of many transactions: its document is large, and there are
/// many of it. `make bench-import` has it and others at length.
#[tokio::test]
async fn many_states_of_a_large_document_take_bounded_memory() {
    let data = Data::new();
    let mut feed = Feed::default();
    let order = json!({ "client": 7, "total": "1.00", "jour": 19_000, "maj": 1, "etiq": null, "doc": null });
    feed.put("cde", 1, order);
    for line in 1..=700 {
        feed.put("ligne", line, json!({ "cde": 1, "art": format!("{line:0200}") }));
    }
    let peak = peak(&data, &feed.write(&data, "feed.jsonl")).await;
    assert!(peak > 10, "nothing was measured");
    assert!(peak < 300, "{peak} MiB");
}
