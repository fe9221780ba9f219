//! What the system gives a process too little of: disk, and file descriptors.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::server::{BASCULE, Data, customer};

/// A program that runs the binary after some preparation, as a shell does it.
fn program(data: &Data, preparation: &str, run: &str) -> PathBuf {
    let path = data.path("program.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{preparation}\nexec {BASCULE} \"$@\" {run}\n"))
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Lets a process write no file beyond so many bytes: what it writes fails as on a full disk.
fn limit_files_of(pid: Pid, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).unwrap();
}

/// The lines of a log that say that something is wrong or over.
fn news(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_news = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" || line["level"] == "ERROR" || message.starts_with("over: ")
    };
    lines.filter(is_news).collect()
}

#[tokio::test]
async fn a_full_disk_is_logged_when_it_begins_and_when_it_is_over() {
    const REQUESTS: usize = 200;
    let data = Data::new().with_lease(Duration::from_secs(1));
    // The log goes through a pipe: it is no file that could be full. The signal that comes with the
    // limit must not end the process.
    let pipe = data.path("log.pipe");
    let pipe = pipe.display();
    let preparation = format!("mkfifo {pipe}\ncat {pipe} >&2 &\ntrap '' XFSZ");
    let program = program(&data, &preparation, &format!("2>{pipe}"));
    let mut server = data.serve_program(&program, &[]);
    server.register_customer("ada@exemple.fr").await;
    server.until_ready().await;

    limit_files_of(server.pid(), Some(1));
    for number in 0..REQUESTS {
        let body = customer(&format!("{number}@exemple.fr"));
        let key = format!("key-{number}");
        let answer = server.try_post("/api/v1/customers", &body, Some(&key)).await.unwrap();
        assert_eq!(answer.status(), 503);
        server.admin("/readyz").await;
    }
    // Every subscription has met it by now, and those that try again soon have often.
    server
        .until_admin_is("/readyz", 503, |_| {
            news(&data.server_log())
                .iter()
                .any(|line| line["message"] == "subscriptions are interrupted")
        })
        .await;
    limit_files_of(server.pid(), None);
    server.until_ready().await;
    server.until_it_runs_everything().await;
    server.register_customer("bob@exemple.fr").await;
    assert!(server.stop().success());

    let log = data.server_log();
    let news = news(&log);
    let count = |message: &str| news.iter().filter(|line| line["message"] == message).count();
    for what in
        ["requests fail because a dependency is unavailable", "subscriptions are interrupted"]
    {
        let begun = count(what);
        assert!((1..=3).contains(&begun), "{what}: {begun}\n{log}");
    }
    // (Requests are told to be well again once none has failed for some seconds.)
    assert!(count("over: subscriptions are interrupted") >= 1, "{log}");
    assert!(news.len() < 40, "{} lines for {REQUESTS} requests:\n{log}", news.len());
}

/// Starts the binary where the limits of open files are these.
fn with_descriptors(data: &Data, limits: &str) -> Output {
    let script = format!("{limits}; exec {BASCULE} projections list");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("BASCULE_STORE", data.store());
    command.env("BASCULE_MASTER_KEY_FILE", data.path("bascule.key")).output().unwrap()
}

#[tokio::test]
async fn too_few_file_descriptors_are_named_as_the_cause() {
    let data = Data::new();
    assert!(data.serve().stop().success());
    let refused = with_descriptors(&data, "ulimit -n 64");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("may open only 64 files") && told.contains("ulimit -Hn"), "{told}");
    // Where only the soft limit is low, it is raised.
    let raised = with_descriptors(&data, "ulimit -Sn 64");
    assert!(raised.status.success(), "{raised:?}");
}
