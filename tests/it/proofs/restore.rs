//! The event store is restored to an earlier backup, under read models and reactions that have seen
//! more. They stop and say what mends it; it does.

use std::path::Path;
use std::process::Command;

use database::Engine;
use rstest::rstest;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::audit::compare_with_fresh_fold;
use crate::server::{Data, Server, customer};

/// A backup of the event store alone, made beside a running server.
async fn back_up(data: &Data, backup: &Path) {
    if data.is_in_postgres() {
        let dump = ["--format=custom", "--schema=event_store", "--file"];
        run(postgres("pg_dump").args(dump).arg(backup).arg(data.store()));
    } else {
        let file = SqliteConnectOptions::new().filename(data.path("bascule.db"));
        let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
        let into = sqlx::query("VACUUM INTO $1").bind(backup.to_str().unwrap());
        into.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Puts a backup in the place of the event store. No server may be running.
fn restore(data: &Data, backup: &Path) {
    if data.is_in_postgres() {
        let restore = ["--clean", "--if-exists", "--single-transaction", "--dbname"];
        run(postgres("pg_restore").args(restore).arg(data.store()).arg(backup));
    } else {
        for file in ["bascule.db", "bascule.db-wal", "bascule.db-shm"] {
            drop(std::fs::remove_file(data.path(file)));
        }
        std::fs::copy(backup, data.path("bascule.db")).unwrap();
    }
}

fn postgres(program: &str) -> Command {
    Command::new(Path::new(&std::env::var("BASCULE_TEST_POSTGRES_BIN").unwrap()).join(program))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until every subscription has stopped. `/readyz` says so, that the log went back, and once by what
/// it is mended, and nothing of how far anything is in a log that is gone.
async fn assert_not_ready(server: &Server) {
    let all_stopped = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        let subscriptions = body["subscriptions"].as_object();
        subscriptions.is_some_and(|all| all.values().all(|one| one["state"] == "stopped"))
    };
    server.until_admin_is("/readyz", 503, all_stopped).await;
    let (_, told) = server.admin("/readyz").await;
    let body: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(body["status"], "the log went back", "{told}");
    assert_eq!(body["mended_by"], "bascule projections rebuild --all", "{told}");
    assert!(body["why"].as_str().unwrap().contains("restored to an earlier state"), "{told}");
    assert_eq!(told.matches("bascule projections").count(), 1, "{told}");
    assert_eq!(body["projections"], serde_json::json!({}), "{told}");
}

/// Everything of this much trade is in the log and done with.
async fn trade(server: &Server, customers: &[&str]) {
    for email in customers {
        let customer = server.register_customer(email).await;
        let placed = server.place_order(&customer, "sandbox:ok").await;
        server.order_is(&placed, "confirmed").await;
    }
}

/// A request that is sent again with the same key.
async fn register_once(server: &Server) -> String {
    let body = customer("lise@exemple.fr");
    let answer = server.try_post("/api/v1/customers", &body, Some("once")).await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Everybody is told of the stop, and by what it is mended.
fn assert_told(data: &Data) {
    let listed = data.run_ok(&["projections", "list", "--json"]);
    for line in listed.lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        assert_eq!(one["state"], "stopped", "{listed}");
    }
    let output = data.run(&["projections", "verify", "orders.orders"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("bascule projections rebuild orders.orders.v1"), "{told}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_store_stops_what_came_further_and_the_command_it_names_mends_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let backup = data.path("backup");
    let mut server = data.serve();
    trade(&server, &["ada@exemple.fr", "grace@exemple.fr"]).await;
    back_up(&data, &backup).await;
    let kept = server.head().await;
    trade(&server, &["emmy@exemple.fr", "sofja@exemple.fr"]).await;
    let answered = register_once(&server).await;
    let lost = server.head().await;
    // Every checkpoint is saved when it stops in order.
    assert!(server.stop().success());
    restore(&data, &backup);

    let mut server = data.serve();
    assert_eq!(server.head().await, kept);
    assert_not_ready(&server).await;
    assert_told(&data);
    // The log grows beyond what was lost: at the checkpoints stand other events now.
    let mut number = 0;
    while server.head().await <= lost {
        number += 1;
        server.register_customer(&format!("new{number}@exemple.fr")).await;
    }
    assert!(server.stop().success());

    let server = data.serve();
    assert_not_ready(&server).await;
    assert_told(&data);
    data.run_ok(&["projections", "rebuild", "--all"]);
    // The server goes on by itself.
    server.until_ready().await;
    data.run_ok(&["projections", "verify", "--all"]);
    let orders = server.all_of("orders", server.head().await).await;
    assert_eq!(orders.len(), 2, "those after the backup are gone: {orders:?}");
    // Whoever asks again for what is gone is not told that it was done.
    let answer = register_once(&server).await;
    assert_eq!(answer, answered, "the id derives from the key");
    server.until(&format!("/api/v1/customers/{answer}"), |_| true).await;
    // What was done before the backup is recognised, and new things are done.
    trade(&server, &["hedy@exemple.fr"]).await;
    let invoices = server.all_of("billing/invoices", server.head().await).await;
    assert_eq!(invoices.len(), 3, "nothing was invoiced again: {invoices:?}");
    compare_with_fresh_fold(&data, server).await;
}
