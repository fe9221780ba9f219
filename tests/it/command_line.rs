//! The command line: what it answers to mistakes, and how the server starts and stops.

use serde_json::Value;

use crate::modules::{count_of_the_saga, modules};
use crate::server::Data;

#[test]
fn usage_errors_exit_with_2_and_say_what_is_expected() {
    let data = Data::new();
    for arguments in [&["serve", "--listen", "nonsense"][..], &["nonsense"], &["import"]] {
        let output = data.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn mistakes_exit_with_1_and_say_what_to_do() {
    let data = Data::new();
    let complaint = |arguments: &[&str]| {
        let output = data.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let told = complaint(&["serve", "--store", "mysql://localhost/x"]);
    assert!(told.contains("expected sqlite:"), "{told}");
    let told = complaint(&["serve", "--modules", "orders,stock"]);
    assert!(told.contains("there is no module `stock`"), "{told}");
    let told = complaint(&["events", "tail"]);
    assert!(told.contains("no store exists at"), "{told}");
    let told = complaint(&["serve", "--config", "nowhere.toml"]);
    assert!(told.contains("nowhere.toml"), "{told}");
    std::fs::write(data.path("bascule.toml"), "[payments]\ndeadline = 5\n").unwrap();
    let told = complaint(&["serve"]);
    assert!(told.contains("deadline"), "{told}");
    std::fs::write(data.path("bascule.toml"), "[payment]\ndeadline_ms = 5\n").unwrap();
    let told = complaint(&["serve"]);
    for part in ["unknown key `payment` in bascule.toml", "`admin_listen`", "[payments]"] {
        assert!(told.contains(part), "{told}");
    }
    std::fs::write(data.path("bascule.toml"), "[log]\nformt = \"json\"\n").unwrap();
    let told = complaint(&["serve"]);
    let expected = "unknown key `formt` in [log] in bascule.toml";
    assert!(told.contains(expected) && told.contains("`filter`, `format`"), "{told}");
    std::fs::write(data.path("bascule.toml"), "[log]\nformat = \"xml\"\n").unwrap();
    let told = complaint(&["serve"]);
    let expected = "unknown value `xml` for key \"log.format\" in bascule.toml";
    assert!(told.contains(expected) && told.contains("`auto`, `pretty`, `json`"), "{told}");
    std::fs::remove_file(data.path("bascule.toml")).unwrap();
    let mut serve = data.bascule();
    let output = serve.arg("serve").env("BASCULE_PAYMENTS_DEADLINE_MS", "5").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("BASCULE_LOG__FORMAT") && told.contains("[payments]"), "{told}");
}

#[test]
fn the_configuration_in_force_can_be_shown_without_its_secret() {
    let data = Data::new();
    let output = data
        .bascule()
        .args(["serve", "--dump-config"])
        .env("BASCULE_MASTER_KEY", "12".repeat(32))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("deadline_ms = 600000"), "{shown}");
    assert!(!shown.contains("1212"), "{shown}");
    assert!(toml::from_str::<toml::Table>(&shown).is_ok());
}

#[test]
fn no_credentials_are_dumped_wherever_they_are_configured() {
    let data = Data::new();
    let file = data.path("bascule.toml");
    let url = |scheme: &str| format!("{scheme}://ada:swordfish@host:1/b?password=swordfish");
    let settings = format!(
        r#"
        store = "{postgres}"
        admin_token = "swordfish"
        master_key = "swordfish"
        allowed_hosts = ["shop.example"]
        [modules.payments]
        remote = "{http}"
        [modules.orders]
        database = "{postgres}"
        [payments.sandbox]
        ledger = "{postgres}"
        [wire.accounts.ada]
        password = "swordfish"
        password_hash = "swordfish"
        rights = []
        "#,
        postgres = url("postgres"),
        http = url("http"),
    );
    std::fs::write(&file, settings).unwrap();
    let mut command = data.bascule();
    command.env_remove("BASCULE_STORE").args(["serve", "--dump-config"]);
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    assert!(!shown.contains("swordfish"), "{shown}");
    for kept in ["http://ada:***@host:1/b", "postgres://ada:***@host:1/b", "shop.example"] {
        assert!(shown.contains(kept), "{shown}");
    }
    // Nor does it stand in what goes wrong with them.
    let output = data.bascule().env_remove("BASCULE_STORE").arg("serve").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !told.contains("swordfish"), "{told}");
}

#[tokio::test]
async fn a_store_without_its_master_key_is_refused() {
    let data = Data::new();
    assert!(data.serve().stop().success());
    let key = data.path("bascule.key");
    std::fs::rename(&key, data.path("elsewhere.key")).unwrap();
    let output = data.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("restore the key file"), "{told}");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let output = data.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("master key"), "{told}");
}

#[tokio::test]
async fn probes_and_metrics_answer_on_the_second_listener() {
    let data = Data::new();
    let mut server = data.serve();
    for path in ["/livez", "/startupz", "/readyz"] {
        assert_eq!(server.admin(path).await.0, 200, "{path}");
    }
    server.register_customer("ada@exemple.fr").await;
    // Projections report a moment after the answer.
    server
        .until_admin("/metrics", |metrics| {
            [
                "http_requests_total",
                "event_store_appends_total",
                "event_store_batch_events",
                "subscription_lag_events",
            ]
            .iter()
            .all(|name| metrics.contains(name))
        })
        .await;
    assert_eq!(server.get("/metrics").await.0, 404, "not on the public listener");
    assert!(server.stop().success());
}

#[tokio::test]
async fn the_description_of_the_api_is_served_with_its_documentation() {
    let data = Data::new();
    let server = data.serve();
    let served = server.get_ok("/openapi.json").await;
    let printed: Value = serde_json::from_str(&data.run_ok(&["openapi"])).unwrap();
    assert_eq!(served, printed);
    let page = reqwest::get(format!("{}/docs/", server.http)).await.unwrap();
    assert_eq!(page.status(), 200);
    let text = page.text().await.unwrap();
    assert!(text.contains("swagger-ui"), "{text}");
    assert!(!text.contains("https://"), "works offline: {text}");
}

#[tokio::test]
async fn log_lines_carry_the_correlation_id_and_no_personal_data() {
    let data = Data::new();
    let mut server = data.serve_with(&[("BASCULE_LOG__FILTER", "debug")]);
    let response = server
        .try_post("/api/v1/customers", &crate::server::customer("ada@exemple.fr"), None)
        .await
        .unwrap();
    let correlation = response.headers()["Bascule-Correlation-Id"].to_str().unwrap().to_owned();
    assert!(server.stop().success());
    let log = std::fs::read_to_string(data.path("server.log")).unwrap();
    assert!(log.contains(&correlation), "{log}");
    assert!(!log.contains("Ada Martin") && !log.contains("ada@exemple.fr"), "{log}");
}

#[tokio::test]
async fn personal_data_is_not_in_the_event_store_in_the_clear() {
    let data = Data::new();
    let mut server = data.serve();
    let customer = server.register_customer("ada.martin@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&order, "confirmed").await;
    assert!(server.stop().success());
    for file in ["bascule.db", "bascule.db-wal"] {
        let Ok(bytes) = std::fs::read(data.path(file)) else { continue };
        for secret in ["Ada Martin", "ada.martin@exemple.fr", "rue de la Paix"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {file}");
        }
    }
    let printed = data.run_ok(&["events", "show", &format!("customer-{customer}")]);
    assert!(!printed.contains("Ada Martin"), "{printed}");
    let printed = data.run_ok(&["events", "show", &format!("customer-{customer}"), "--personal"]);
    assert!(printed.contains("Ada Martin"), "{printed}");
}

#[tokio::test]
async fn two_servers_share_a_store_and_one_goes_on_when_the_other_is_killed() {
    let data = Data::new();
    let lease = [("BASCULE_REPLICA__LEASE_MS", "1000")];
    let mut first = data.serve_with(&lease);
    let second = data.serve_with(&lease);
    second.until_admin("/readyz", |body| state_of_orders(body) == "standby").await;
    let customer = first.register_customer("ada@exemple.fr").await;
    // The second one shows what the first one made of it.
    let order = second.place_order(&customer, "sandbox:ok").await;
    second.order_is(&order, "confirmed").await;
    first.kill();
    let order = second.place_order(&customer, "sandbox:ok").await;
    second.order_is(&order, "confirmed").await;
    second.until_admin("/readyz", |body| state_of_orders(body) == "running").await;
}

/// How the projection of orders is on a server, as its `/readyz` tells.
fn state_of_orders(ready: &str) -> String {
    let body: Value = serde_json::from_str(ready).unwrap();
    body["subscriptions"]["orders.orders.v1"]["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_server_that_starts_alone_waits_for_no_lease_of_the_one_before() {
    let data = Data::new();
    let long = [("BASCULE_REPLICA__LEASE_MS", "3600000")];
    let mut first = data.serve_with(&long);
    let customer = first.register_customer("ada@exemple.fr").await;
    first.kill();
    let second = data.serve_with(&long);
    let order = second.place_order(&customer, "sandbox:ok").await;
    second.order_is(&order, "confirmed").await;
}

#[tokio::test]
async fn after_the_store_was_replaced_the_server_is_not_ready_and_says_what_to_do() {
    let data = Data::new();
    let mut server = data.serve();
    server.register_customer("ada@exemple.fr").await;
    server.until("/api/v1/customers", |page| !page["items"].as_array().unwrap().is_empty()).await;
    assert!(server.stop().success());
    for file in ["bascule.db", "bascule.db-wal", "bascule.db-shm", "bascule.key"] {
        drop(std::fs::remove_file(data.path(file)));
    }
    let server = data.serve();
    server
        .until_admin_is("/readyz", 503, |body| {
            body.contains("the log went back") && body.contains("bascule projections rebuild --all")
        })
        .await;
}

#[tokio::test]
async fn read_models_that_were_removed_are_built_anew_from_the_log() {
    let data = Data::new();
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    let before = server.order_is(&order, "confirmed").await;
    assert!(server.stop().success());
    for module in modules() {
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(data.path(&format!("bascule.{module}.db{suffix}"))));
        }
    }
    let server = data.serve();
    assert_eq!(server.get_ok(&format!("/api/v1/orders/{order}")).await, before);
    let invoices = server.get_ok("/api/v1/billing/invoices").await;
    assert_eq!(invoices["items"].as_array().unwrap().len(), 1);
    // Nothing was invoiced or charged again.
    assert_eq!(count_of_the_saga(&data), 9);
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let data = Data::new();
    let server = data.serve();
    let response = reqwest::Client::new()
        .head(format!("{}/api/v1/customers", server.http))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["Content-Length"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(response.bytes().await.unwrap().is_empty());
}

#[test]
fn an_import_that_cannot_begin_leaves_nothing_behind() {
    let data = Data::new();
    let mapping =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/tryton/mapping.toml");
    let mapping = mapping.to_str().unwrap();
    for (mapping, file, named) in
        [("nowhere.toml", "feed.jsonl", "nowhere.toml"), (mapping, "feed.jsonl", "feed.jsonl")]
    {
        let output = data.run(&["import", "--mapping", mapping, "--format", "debezium", file]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(named), "{told}");
        for made in ["bascule.db", "bascule.key"] {
            assert!(!data.path(made).exists(), "{made}");
        }
    }
}
