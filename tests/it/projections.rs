//! `bascule projections` on a running system, on both engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use database::Engine;
use rstest::rstest;
use serde_json::Value;

use crate::server::{Data, Server};

/// What a command printed for machines: one object a line.
fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn list(data: &Data) -> Vec<Value> {
    lines(&data.run_ok(&["projections", "list", "--json"]))
}

/// A customer and a few orders that came to their end.
async fn some_orders(server: &Server) -> (String, String) {
    let customer = server.register_customer("ada@exemple.fr").await;
    let mut order = String::new();
    for _ in 0..3 {
        order = server.place_order(&customer, "sandbox:ok").await;
        server.order_is(&order, "confirmed").await;
    }
    (customer, order)
}

fn count_of_projections(data: &Data) -> usize {
    list(data).iter().filter(|one| one["kind"] == "projection").count()
}

fn count_of_events(data: &Data) -> usize {
    data.run_ok(&["events", "tail", "-n", "100000", "--json"]).lines().count()
}

#[rstest]
#[tokio::test]
async fn every_subscription_is_listed_with_its_owner_and_its_lag(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let mut server = data.serve();
    some_orders(&server).await;
    let listed = list(&data);
    let of_kind = |kind: &str| listed.iter().filter(|one| one["kind"] == kind).count();
    assert!(of_kind("projection") >= 6 && of_kind("reactor") >= 1, "{listed:?}");
    assert!(of_kind("policy") >= 3, "{listed:?}");
    for one in &listed {
        assert_eq!(one["state"], "running", "{one}");
        assert!(one["owner"].as_str().unwrap().contains(':'), "{one}");
        assert_eq!((&one["parked"], &one["last_error"]), (&0.into(), &Value::Null), "{one}");
    }
    let orders = listed.iter().find(|one| one["subscription"] == "orders.orders.v1").unwrap();
    assert_eq!((&orders["module"], &orders["version"]), (&"orders".into(), &1.into()));

    // The command itself takes no lease.
    server
        .order_is(
            &server.place_order(&some_customer(&server).await, "sandbox:ok").await,
            "confirmed",
        )
        .await;
    server
        .until_admin("/admin/subscriptions", |body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["items"].as_array().unwrap().iter().all(|one| one["lag_seconds"] == 0.0)
        })
        .await;
    assert!(server.stop().success());
    for one in list(&data) {
        assert_eq!((&one["state"], &one["owner"]), (&"unowned".into(), &Value::Null), "{one}");
        assert_eq!(one["lag_seconds"], 0.0, "{one}");
    }
    let table = data.run_ok(&["projections", "list"]);
    assert!(table.contains("no owner") && table.contains("payments.provider-calls"), "{table}");
}

async fn some_customer(server: &Server) -> String {
    server.register_customer("grace@exemple.fr").await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_are_rebuilt_while_they_are_served(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let server = Arc::new(data.serve());
    let (customer, order) = some_orders(&server).await;
    let over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (server, over) = (Arc::clone(&server), Arc::clone(&over));
        async move {
            let mut placed = 0;
            while !over.load(Ordering::Relaxed) {
                let before = server.get_ok(&format!("/api/v1/orders/{order}")).await;
                assert_eq!(before["status"], "confirmed", "a rebuilt row was missing for a moment");
                // Waits for its own write: a rebuild never shows an earlier state.
                let id = server.place_order(&customer, "sandbox:ok").await;
                let head = server.head().await;
                let shown = server.all_of("orders", head).await;
                assert!(shown.iter().any(|shown| shown["id"] == *id), "{id} is not shown");
                placed += 1;
            }
            placed
        }
    });
    for _ in 0..3 {
        data.run_ok(&["projections", "rebuild", "--all"]);
        data.run_ok(&["projections", "verify", "--all"]);
    }
    over.store(true, Ordering::Relaxed);
    assert!(load.await.unwrap() > 0);
    let verified = lines(&data.run_ok(&["projections", "verify", "--all", "--json"]));
    assert_eq!(verified.len(), count_of_projections(&data));
    for one in &verified {
        assert_eq!((&one["outcome"], &one["different"]), (&"verified".into(), &0.into()), "{one}");
    }
    let with_rows = verified.iter().filter(|one| one["rows"].as_u64().unwrap() > 0);
    assert!(with_rows.count() >= 6, "{verified:?}");
    assert!(scratches(&data).is_empty(), "{:?}", scratches(&data));
    server.until_ready().await;
}

/// What fresh folds left beside the tables on SQLite.
fn scratches(data: &Data) -> Vec<String> {
    let files = std::fs::read_dir(data.path("")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("scratch")).collect()
}

#[rstest]
#[tokio::test]
async fn a_row_that_is_wrong_is_found_and_made_anew(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let server = data.serve();
    let (_, order) = some_orders(&server).await;
    data.run_ok(&["projections", "verify", "orders.orders", "billing.known-customers"]);

    data.execute("orders", "UPDATE order_view SET status = 'cancelled'").await;
    data.execute("billing", "DELETE FROM known_customer").await;
    let output = data.run(&["projections", "verify", "--all"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.matches("order_view").count(), 3, "{told}");
    assert_eq!(told.matches(" different").count(), 3, "{told}");
    assert!(told.contains("known_customer") && told.contains(" missing"), "{told}");
    assert!(told.contains("bascule projections rebuild orders.orders.v1"), "{told}");
    assert!(!told.contains("Ada"), "the rows are not told: {told}");

    // With the version and without.
    let before = count_of_events(&data);
    data.run_ok(&["projections", "rebuild", "orders.orders.v1", "billing.known-customers"]);
    data.run_ok(&["projections", "verify", "--all"]);
    let orders = server.all_of("orders", 0).await;
    assert!(orders.iter().all(|order| order["status"] == "confirmed"), "{orders:?}");

    // A policy and the reactor begin again, and recognise everything.
    let told =
        data.run_ok(&["projections", "rebuild", "billing.invoicing", "payments.provider-calls"]);
    assert_eq!(told.matches("restarts at the beginning").count(), 2, "{told}");
    server
        .until_admin("/admin/subscriptions", |body| {
            let body: Value = serde_json::from_str(body).unwrap();
            let items = body["items"].as_array().unwrap();
            items.iter().all(|one| one["lag_seconds"] == 0.0 && one["state"] == "running")
        })
        .await;
    assert_eq!(count_of_events(&data), before);
    server.order_is(&order, "confirmed").await;
}

#[rstest]
#[tokio::test]
async fn read_models_are_built_before_a_server_starts(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let mut server = data.serve();
    let (_, order) = some_orders(&server).await;
    assert!(server.stop().success());
    match engine {
        Engine::Sqlite => {
            for suffix in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(data.path(&format!("bascule.orders.db{suffix}"))));
            }
        }
        Engine::Postgres => data.execute("orders", "DROP SCHEMA orders CASCADE").await,
    }
    let state = |listed: Vec<Value>| {
        let mut orders = listed.into_iter().filter(|one| one["subscription"] == "orders.orders.v1");
        orders.next().unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(list(&data)), "not_built");
    let output = data.run(&["projections", "verify", "orders.orders"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("projections build"), "{output:?}");

    let built = lines(&data.run_ok(&["projections", "build", "--json"]));
    assert_eq!(built.len(), count_of_projections(&data));
    assert_eq!(state(list(&data)), "unowned");
    data.run_ok(&["projections", "verify", "--all"]);
    let server = data.serve();
    assert_eq!(server.get_ok(&format!("/api/v1/orders/{order}")).await["status"], "confirmed");
    // With a server at work there is nothing to build, and it is told that it is built.
    data.run_ok(&["projections", "build", "orders.orders"]);
}

#[tokio::test]
async fn names_that_nothing_has_are_refused_with_those_there_are() {
    let data = Data::new();
    let no_store = data.run(&["projections", "list"]);
    assert_eq!(no_store.status.code(), Some(1), "{no_store:?}");
    assert!(data.serve().stop().success());
    for (arguments, told) in [
        (&["projections", "rebuild", "orders.ordres"][..], "orders.orders.v1"),
        (&["projections", "verify", "billing.invoicing"], "not a projection"),
        (&["projections", "verify"], "--all"),
        (&["parked", "show", "orders.ordres", "1"], "orders.orders.v1"),
        (&["parked", "discard", "orders.orders", "1"], "--yes"),
        (&["parked", "replay", "orders.orders"], "--all"),
    ] {
        let output = data.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains(told), "{arguments:?}: {complaint}");
    }
}

#[rstest]
#[tokio::test]
async fn what_an_interrupted_rebuild_left_is_pruned(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    assert!(data.serve().stop().success());
    match engine {
        Engine::Sqlite => {
            let left = data.path("bascule.orders.scratch_0123456789ab.db");
            std::fs::copy(data.path("bascule.orders.db"), left).unwrap();
        }
        Engine::Postgres => {
            data.execute("orders", "CREATE SCHEMA orders_scratch_0123456789ab").await;
        }
    }
    let told = data.run_ok(&["projections", "prune"]);
    assert!(told.contains("scratch_0123456789ab: removed (left over)"), "{told}");
    assert!(scratches(&data).is_empty(), "{:?}", scratches(&data));
    assert_eq!(data.run_ok(&["projections", "prune"]).trim(), "nothing to remove");
}
