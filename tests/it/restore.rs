//! A store that was restored from a backup, under read models that had come further.

use serde_json::Value;

use crate::server::Data;

#[tokio::test]
async fn a_restored_store_stops_what_came_further_and_the_command_it_names_mends_it() {
    const FILES: [&str; 2] = ["bascule.db", "bascule.db-wal"];
    let data = Data::new();
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let kept = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&kept, "confirmed").await;
    assert!(server.stop().success());
    let copy = |from: &dyn Fn(&str) -> String, to: &dyn Fn(&str) -> String| {
        for file in FILES {
            drop(std::fs::remove_file(data.path(&to(file))));
            if data.path(&from(file)).exists() {
                std::fs::copy(data.path(&from(file)), data.path(&to(file))).unwrap();
            }
        }
    };
    let (here, backup) = (|file: &str| file.to_owned(), |file: &str| format!("backup-{file}"));
    copy(&here, &backup);

    let mut server = data.serve();
    let lost = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&lost, "confirmed").await;
    assert!(server.stop().success());
    copy(&backup, &here);
    drop(std::fs::remove_file(data.path("bascule.db-shm")));

    let server = data.serve();
    server
        .until_admin_is("/readyz", 503, |body| {
            body.contains("bascule projections rebuild orders.orders.v1")
                && body.contains("bascule projections rebuild billing.invoicing")
        })
        .await;
    let listed = data.run_ok(&["projections", "list", "--json"]);
    let stopped = |line: &str| {
        let one: Value = serde_json::from_str(line).unwrap();
        one["state"] == "stopped"
    };
    assert!(listed.lines().all(stopped), "{listed}");
    let output = data.run(&["projections", "verify", "orders.orders"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("bascule projections rebuild orders.orders.v1"), "{told}");

    // The server goes on by itself.
    data.run_ok(&["projections", "rebuild", "--all"]);
    server.until_ready().await;
    data.run_ok(&["projections", "verify", "--all"]);
    let (status, _) = server.get(&format!("/api/v1/orders/{lost}")).await;
    assert_eq!(status, 404, "the order is not in the backup");
    server.order_is(&kept, "confirmed").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&order, "confirmed").await;
    let invoices = server.all_of("billing/invoices", server.head().await).await;
    assert_eq!(invoices.len(), 2, "nothing was invoiced again: {invoices:?}");
}
