//! A customer is erased. Afterwards nobody finds anything of the person: not over HTTP, not in any
//! file, log or dump, not after a rebuild, and not when the legacy system is imported again. What
//! the law has kept is there until it need not be any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use database::Engine;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::postgres::{PostgresServer, TestDatabase, execute};

use crate::server::{Data, Server, customer, order};

/// What is said of a customer of ours, on her invoices too.
const ON_THE_INVOICE: [&str; 4] =
    ["Adelheid Quintessa", "77 allee des Ormeaux", "Quimperle-sous-Test", "FR77QUINTESSA"];
/// What is said of her elsewhere.
const OF_ADELHEID: [&str; 4] = [
    "adelheid@quintessa.example",
    "+33 1 77 66 55 44",
    "moved to Valparaiso",
    "quarrelled with Zebulon",
];
/// What was said of her once, or is only ever in the log, sealed.
const SAID_ONCE: [&str; 3] =
    ["first@quintessa.example", "refused@quintessa.example", "sister Zenobia paid"];
/// What a legacy system says of a customer of its own.
const OF_GRACE: [&str; 8] = [
    "Grace Hopperova",
    "grace@hopperova.example",
    "+33 6 55 44 33 22",
    "12 quai de la Fosse",
    "for her brother Barnabas",
    "Hopperova-77",
    "engraved G.H. for ever",
    "Hopperova went bankrupt",
];
/// Somebody else, who stays.
const OF_BOB: [&str; 3] = ["Bob Durandal", "bob@durandal.example", "for Bob's cousin Basile"];

const MAPPING: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
party = { keep = ["name", "email", "phone", "street"] }
sale = { keep = ["party", "number", "note", "reference"], personal = ["note", "reference"] }
line = { keep = ["sale", "remark"], personal = ["remark"] }
invoice = { keep = ["party", "number", "state", "remark"], personal = ["remark"] }
[aggregates.customer]
root = "party"
command = "customers.SyncCustomer"
[aggregates.customer.jq]
program = '''
{ name, email, phone,
  address: {line1: .street, line2: null, postal_code: "44000", city: "Nantes", country: "FR"} }
'''
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"customer" = { one = "party", ref = "party", follow = false }
"lines" = { many = "line", fk = "sale" }
[aggregates.order.jq]
program = '''
{ status: "confirmed", number, reference, note, date: "2020-03-01",
  customer_id: (.party | uid("party")), currency: "EUR", lines: [], comments: [.lines[].remark // empty],
  total_net: "10", total_vat: "2", total: "12" }
'''
[aggregates.invoice]
root = "invoice"
command = "billing.SyncInvoice"
[aggregates.invoice.rows]
"customer" = { one = "party", ref = "party", follow = false }
[aggregates.invoice.jq]
program = '''
if .state == "gone" then {absent: (.remark // "taken back")} else
{ status: "issued", kind: "invoice", number, date: "2020-03-02",
  customer_id: (.party | uid("party")), currency: "EUR", total: "12", paid: "0" } end
'''
"#;

/// What Debezium captured of the legacy system so far.
#[derive(Default)]
struct Shop {
    lines: String,
    position: i64,
}

impl Shop {
    fn put(&mut self, table: &str, id: i64, mut row: Value) -> &mut Self {
        self.position += 1;
        row["id"] = json!(id);
        let source = json!({ "lsn": self.position, "txId": self.position, "snapshot": "false",
            "ts_ms": 1_760_000_000_000_i64 + self.position });
        let value = json!({ "op": "u", "before": null, "after": row, "source": source });
        let topic = format!("shop.public.{table}");
        let record = json!({ "topic": topic, "key": { "id": id }, "value": value });
        writeln!(self.lines, "{record}").unwrap();
        self
    }

    fn open() -> Self {
        let mut shop = Self::default();
        let [name, email, phone, street, note, reference, remark, why] = OF_GRACE;
        let party = json!({ "name": name, "email": email, "phone": phone, "street": street });
        // The line before the sale it belongs to.
        shop.put("line", 1, json!({ "sale": 1, "remark": remark })).put("party", 1, party);
        let sale = json!({ "party": 1, "number": "S1", "note": note, "reference": reference });
        shop.put("sale", 1, sale);
        let invoice = |state: &str, remark: Option<&str>| json!({ "party": 1, "number": "F1", "state": state, "remark": remark });
        shop.put("invoice", 1, invoice("open", None)).put("invoice", 1, invoice("gone", Some(why)));
        let [name, email, note] = OF_BOB;
        let party = json!({ "name": name, "email": email, "phone": null, "street": "2 rue Basse" });
        shop.put("party", 2, party);
        let sale = json!({ "party": 2, "number": "S2", "note": note, "reference": null });
        shop.put("sale", 2, sale);
        shop
    }

    /// The legacy goes on with Grace.
    fn goes_on(&mut self) -> &mut Self {
        let [name, email, phone, street, note, reference, remark, _] = OF_GRACE;
        let party = json!({ "name": name, "email": email, "phone": phone, "street": street });
        let sale = json!({ "party": 1, "number": "S1a", "note": note, "reference": reference });
        self.put("party", 1, party).put("line", 7, json!({ "sale": 1, "remark": remark }));
        self.put("sale", 1, sale)
    }
}

/// A system with all its files, on an engine of its own.
struct World {
    data: Data,
    /// The operator's own files, which no erasure reaches.
    papers: TempDir,
    /// Ends after what is on it.
    cluster: Option<PostgresServer>,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let papers = tempfile::tempdir().unwrap();
        std::fs::write(papers.path().join("mapping.toml"), MAPPING).unwrap();
        match engine {
            Engine::Sqlite => Self { data: Data::new(), papers, cluster: None },
            Engine::Postgres => {
                // So that old segments of the log go with the next checkpoint.
                let settings = "wal_recycle = off\nmin_wal_size = 32MB\nwal_keep_size = 0\n";
                let cluster = PostgresServer::start_with(settings).await;
                let database = TestDatabase::create_on(&cluster.url()).await;
                Self { data: Data::within(database), papers, cluster: Some(cluster) }
            }
        }
    }

    fn paper(&self, name: &str) -> PathBuf {
        self.papers.path().join(name)
    }

    fn import(&self, shop: &Shop, arguments: &[&str]) -> Value {
        std::fs::write(self.paper("shop.jsonl"), &shop.lines).unwrap();
        let mut command = self.data.bascule();
        command.args(["import", "--json", "--format", "debezium", "--mapping"]);
        command.arg(self.paper("mapping.toml")).args(arguments).arg(self.paper("shop.jsonl"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As documented for operators who want it gone from the disk now. No server may be running on
    /// SQLite, where nothing is left to be done.
    async fn overwrite_what_is_deleted(&self) {
        let Some(cluster) = &self.cluster else { return };
        execute(&self.data.store(), "VACUUM (FULL, ANALYZE)").await;
        for _ in 0..2 {
            execute(&cluster.url(), "SELECT pg_switch_wal()").await;
            execute(&cluster.url(), "CHECKPOINT").await;
        }
    }

    /// Which of these texts stand in which files: of the system, of PostgreSQL, in a dump.
    fn found(&self, texts: &[&str]) -> BTreeSet<(String, String)> {
        let mut found = matches(&self.data.path(""), texts);
        if let Some(cluster) = &self.cluster {
            found.extend(matches(cluster.folder(), texts));
            let dump = self.paper("dump.sql");
            let bin = std::env::var("BASCULE_TEST_POSTGRES_BIN").unwrap();
            let mut command = Command::new(Path::new(&bin).join("pg_dump"));
            command.args(["--format=plain", "--inserts", "--file"]).arg(&dump);
            let output = command.arg(self.data.store()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            found.extend(matches(&dump, texts));
            std::fs::remove_file(dump).unwrap();
        }
        found
    }

    /// The texts that stand anywhere.
    fn found_texts(&self, texts: &[&str]) -> BTreeSet<String> {
        self.found(texts).into_iter().map(|(text, _)| text).collect()
    }

    #[track_caller]
    fn assert_gone(&self, texts: &[&str]) {
        let found = self.found(texts);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Texts and the files, in a folder or one file, that hold them. Fast: `grep` looks at gigabytes.
fn matches(place: &Path, texts: &[&str]) -> BTreeSet<(String, String)> {
    let mut command = Command::new("grep");
    command.args(["-r", "--text", "--only-matching", "--fixed-strings", "--with-filename", "-Z"]);
    for text in texts {
        command.args(["-e", text]);
    }
    let output = command.arg(place).output().unwrap();
    // 1: nothing found. A file that went meanwhile is 2.
    assert!(output.status.code().is_some_and(|code| code <= 2), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let matches = printed.lines().filter_map(|line| line.split_once('\0'));
    matches.map(|(file, text)| (text.to_owned(), file.to_owned())).collect()
}

fn texts<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Registers Adelheid and does business with her, until she has been angry with us in every field
/// that takes words. The customer, the order that was cancelled, and the invoice of the other.
async fn business(server: &Server) -> (String, String, String) {
    let [name, line1, city, vat_number] = ON_THE_INVOICE;
    let [email, phone, moved, quarrelled] = OF_ADELHEID;
    let [first_email, refused_email, zenobia] = SAID_ONCE;
    let mut adelheid = customer(first_email);
    adelheid["name"] = json!(name);
    adelheid["phone"] = json!(phone);
    adelheid["vat_number"] = json!(vat_number);
    adelheid["address"]["line1"] = json!(line1);
    adelheid["address"]["city"] = json!(city);
    let registered =
        server.try_post("/api/v1/customers", &adelheid, Some("adelheid-1")).await.unwrap();
    assert_eq!(registered.status(), 201);
    let registered: Value = registered.json().await.unwrap();
    let id = registered["id"].as_str().unwrap().to_owned();
    let path = |action: &str| format!("/api/v1/customers/{id}/{action}");
    server.post_ok(&path("change-contact"), &json!({ "email": email, "phone": phone })).await;
    // Refused, because somebody has it: a fingerprint of what was asked is kept.
    server.register_customer(refused_email).await;
    let change = json!({ "email": refused_email });
    let refused = server.try_post(&path("change-contact"), &change, Some("adelheid-2")).await;
    assert_eq!(refused.unwrap().status(), 409);
    server
        .until(&format!("/api/v1/customers?email={email}"), |page| {
            page["items"].as_array().is_some_and(|items| items.len() == 1)
        })
        .await;

    let paid = server.place_order(&id, "sandbox:ok").await;
    server.order_is(&paid, "confirmed").await;
    let invoices = format!("/api/v1/billing/invoices?order_id={paid}");
    let shown = |page: &Value| page["items"][0]["status"] == "paid";
    let invoice = server.until(&invoices, shown).await["items"][0]["id"].clone();
    let invoice = invoice.as_str().unwrap().to_owned();
    let payments = format!("/api/v1/payments?invoice_id={invoice}");
    let shown = |page: &Value| page["items"][0]["status"] == "captured";
    let payment = server.until(&payments, shown).await["items"][0]["id"].clone();
    let refund = format!("/api/v1/payments/{}/refund", payment.as_str().unwrap());
    server.post_ok(&refund, &json!({ "reason": zenobia })).await;
    let shown = |page: &Value| page["items"][0]["status"] == "refunded";
    server.until(&payments, shown).await;

    let cancelled = server.place_order(&id, "sandbox:ok").await;
    server.order_is(&cancelled, "confirmed").await;
    let cancel = format!("/api/v1/orders/{cancelled}/cancel");
    server.post_ok(&cancel, &json!({ "reason": moved })).await;
    server.order_is(&cancelled, "cancelled").await;
    let declined = server.place_order(&id, "sandbox:declined").await;
    server.order_is(&declined, "cancelled").await;
    server.post_ok(&path("close"), &json!({ "reason": quarrelled })).await;
    server.until(&path("history"), |page| page.to_string().contains(quarrelled)).await;
    (id, cancelled, invoice)
}

/// Erases a customer; the answer once everything is done.
async fn erase(server: &Server, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let (status, answer) =
            server.admin_do(Method::POST, &format!("/admin/customers/{id}/erase")).await;
        assert!([200, 202].contains(&status), "{status} {answer}");
        if status == 200 {
            assert_eq!((&answer["pending"], &answer["parked"]), (&json!([]), &json!([])));
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{answer}");
    }
}

/// What the history of an aggregate shows.
async fn history(server: &Server, aggregate: &str) -> String {
    server.get_ok(&format!("/api/v1/{aggregate}/history")).await.to_string()
}

/// The imported customer of this key.
async fn imported(server: &Server, list: &str, key: &str) -> Value {
    let page = format!("/api/v1/{list}?legacy_id={key}");
    let page = server.until(&page, |page| page["items"][0].is_object()).await;
    page["items"][0].clone()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_an_erased_person_is_found_anywhere(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let data = &world.data;
    let mut shop = Shop::open();
    assert_eq!(world.import(&shop, &[])["quarantined"], 0);
    let mut server = data.serve();
    let (adelheid, cancelled, invoice) = business(&server).await;
    let grace = imported(&server, "customers", "1").await["id"].as_str().unwrap().to_owned();
    let her_order = imported(&server, "orders", "1").await["id"].as_str().unwrap().to_owned();
    let her_invoice = imported(&server, "billing/invoices", "1").await;
    let her_invoice = her_invoice["id"].as_str().unwrap().to_owned();

    // What is searched for would be found, were it there.
    if world.cluster.is_some() {
        execute(&data.store(), "ANALYZE").await;
        execute(&data.store(), "CHECKPOINT").await;
    }
    for readable in [&ON_THE_INVOICE[..], &OF_ADELHEID, &OF_GRACE, &OF_BOB] {
        let there: BTreeSet<String> = readable.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(world.found_texts(readable), there);
    }
    // Another replica has all of it in memory.
    let mut replica = data.serve();
    for server in [&server, &replica] {
        let told = history(server, &format!("customers/{adelheid}")).await;
        assert!(told.contains(ON_THE_INVOICE[0]) && told.contains(SAID_ONCE[0]), "{told}");
        let told = history(server, &format!("customers/{grace}")).await;
        assert!(told.contains(OF_GRACE[0]), "{told}");
    }

    let erased = erase(&server, &adelheid).await;
    let until = erased["documents_retained_until"].as_str().unwrap();
    assert!(until.ends_with("-12-31"), "{until}");
    assert_eq!(erase(&server, &grace).await["documents_retained_until"], "2030-12-31");
    let asked_again = erase(&replica, &adelheid).await;
    assert_eq!(asked_again, erased, "nothing happened twice");
    let (status, problem) = server
        .admin_do(Method::POST, "/admin/customers/0197b19f-1200-7a51-8c44-0f9e8d7c6b5a/erase")
        .await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/not-found")));

    if engine == Engine::Sqlite {
        // Beside running servers, with nothing done by hand.
        world.assert_gone(&[&OF_ADELHEID[..], &SAID_ONCE[..1], &OF_GRACE[..7]].concat());
    }

    // Over HTTP, on every replica. What is in memory is forgotten long before it would expire.
    let begun = Instant::now();
    for server in [&server, &replica] {
        for id in [&adelheid, &grace] {
            assert_eq!(server.get(&format!("/api/v1/customers/{id}")).await.0, 404);
        }
        for told in [
            format!("customers/{adelheid}"),
            format!("customers/{grace}"),
            format!("orders/{cancelled}"),
            format!("orders/{her_order}"),
        ] {
            let gone = |page: &Value| {
                let page = page.to_string();
                let said = [&ON_THE_INVOICE[..], &OF_ADELHEID, &SAID_ONCE, &OF_GRACE].concat();
                !said.iter().any(|text| page.contains(text))
            };
            server.until(&format!("/api/v1/{told}/history"), gone).await;
        }
        let order = server.get_ok(&format!("/api/v1/orders/{cancelled}")).await;
        assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &Value::Null));
        let kept = server.get_ok(&format!("/api/v1/billing/invoices/{invoice}")).await;
        assert_eq!(kept["bill_to"]["name"], ON_THE_INVOICE[0], "the law has it kept: {kept}");
        let kept = server.get_ok(&format!("/api/v1/billing/invoices/{her_invoice}")).await;
        assert_eq!(kept["voided_reason"], OF_GRACE[7], "the law has it kept: {kept}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "only time made it forget");

    // The legacy goes on, the read models are made anew, and so is the mirror.
    let summary = world.import(shop.goes_on(), &[]);
    assert_eq!(summary["quarantined"], 0, "{summary}");
    data.run_ok(&["projections", "rebuild", "--all"]);
    data.run_ok(&["projections", "verify", "--all"]);
    assert!(server.stop().success() && replica.stop().success());
    world.overwrite_what_is_deleted().await;
    world.assert_gone(&[&OF_ADELHEID[..], &OF_GRACE[..7]].concat());
    forget_the_mirror(data, engine).await;
    let summary = world.import(&shop, &[]);
    assert_eq!(summary["quarantined"], 0, "{summary}");
    let mut server = data.serve();
    server.until_ready().await;
    assert_eq!(server.get(&format!("/api/v1/customers/{grace}")).await.0, 404);
    let order = imported(&server, "orders", "1").await;
    assert_eq!((&order["note"], &order["number"]), (&Value::Null, &json!("S1a")), "{order}");
    assert_eq!(imported(&server, "orders", "2").await["note"], OF_BOB[2]);
    assert!(server.stop().success());

    // In every file: the log, the mirror, the read models, what the servers said, dumps.
    world.overwrite_what_is_deleted().await;
    world.assert_gone(&OF_ADELHEID);
    world.assert_gone(&[SAID_ONCE[0], SAID_ONCE[2]]);
    world.assert_gone(&OF_GRACE);
    assert_eq!(world.found_texts(&OF_BOB), texts(OF_BOB), "who was not erased is there");
    let retained = world.found(&ON_THE_INVOICE);
    for text in ON_THE_INVOICE {
        assert!(retained.iter().any(|(found, _)| found == text), "the law has {text} kept");
    }
    if engine == Engine::Sqlite {
        for (text, file) in &retained {
            assert!(file.contains("bascule.billing.db"), "{text} is in {file}");
        }
    }

    // The law has it kept no longer: it is a later year, and here one is enough.
    let later = "UPDATE erased_customer SET last_document = '2010-01-01' \
                 WHERE last_document > '2021-01-01'";
    data.execute("billing", later).await;
    let mut server = data.serve_with(&[("BASCULE_BILLING__RETENTION_YEARS", "1")]);
    let no_longer = |document: &Value| document["bill_to"].is_null();
    server.until(&format!("/api/v1/billing/invoices/{invoice}"), no_longer).await;
    let no_longer = |document: &Value| document["voided_reason"].is_null();
    // The legacy's word for it was taken from the new mirror, where it was empty already.
    server.until(&format!("/api/v1/billing/invoices/{her_invoice}"), no_longer).await;
    for id in [&adelheid, &grace] {
        assert_eq!(erase(&server, id).await["documents_retained_until"], Value::Null);
    }
    let told = history(&server, &format!("billing/invoices/{invoice}")).await;
    assert!(!told.contains(ON_THE_INVOICE[0]), "{told}");
    // The day that was put in by hand is found, and a fresh fold brings nobody back.
    data.run_ok(&["projections", "rebuild", "billing.invoices"]);
    data.run_ok(&["projections", "verify", "--all"]);
    assert!(server.stop().success());
    world.overwrite_what_is_deleted().await;
    world.assert_gone(&ON_THE_INVOICE);
    world.assert_gone(&OF_GRACE);

    // The address is free; the log is whole.
    let mut server = data.serve();
    server.register_customer(OF_ADELHEID[0]).await;
    assert_dense(data);
    assert!(server.stop().success());
}

/// The mirror is lost, as if somebody had deleted it. No server may be running.
async fn forget_the_mirror(data: &Data, engine: Engine) {
    match engine {
        Engine::Sqlite => {
            for suffix in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(data.path(&format!("bascule.capture.db{suffix}"))));
            }
        }
        Engine::Postgres => data.execute("capture", "DROP SCHEMA capture CASCADE").await,
    }
}

/// Every event is there and can be read.
fn assert_dense(data: &Data) {
    let printed = data.run_ok(&["events", "tail", "-n", "100000", "--json"]);
    let mut expected = 1;
    for line in printed.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["position"], expected, "{event}");
        expected += 1;
    }
    assert!(expected > 50, "{expected}");
}

#[rstest]
#[tokio::test]
async fn an_erasure_goes_on_after_a_crash_at_any_step(
    #[values(
        "before:customers.CustomerErased.v1",
        "after:customers.CustomerErased.v1",
        "before:billing.RetentionEnded.v1",
        "after:billing.RetentionEnded.v1"
    )]
    step: &str,
) {
    let world = World::on(Engine::Sqlite).await;
    let data = &world.data;
    let mut server = data.serve_with(&[("BASCULE_CRASH_AT", step)]);
    let mut adelheid = customer(OF_ADELHEID[0]);
    adelheid["name"] = json!(ON_THE_INVOICE[0]);
    let id = server.post_ok("/api/v1/customers", &adelheid).await["id"].clone();
    let id = id.as_str().unwrap();
    let known = format!("/api/v1/customers/{id}");
    server.until(&known, |customer| customer["name"] == ON_THE_INVOICE[0]).await;
    let request = server.admin_request(Method::POST, &format!("/admin/customers/{id}/erase"));
    drop(request.send().await);
    assert!(!server.wait_for_end().success(), "it was to crash");

    let mut server = data.serve();
    if step == "before:customers.CustomerErased.v1" {
        assert_eq!(server.get(&known).await.0, 200, "nothing happened, and nobody was told so");
        erase(&server, id).await;
    } else {
        // Nobody asks again.
        let ended = |body: &str| {
            let body: Value = serde_json::from_str(body).unwrap();
            let items = body["items"].as_array().unwrap();
            items.iter().all(|one| one["lag_seconds"] == 0.0 && one["state"] == "running")
        };
        server.until_admin("/admin/subscriptions", ended).await;
        let told = data.run_ok(&["events", "tail", "-n", "1000", "--json"]);
        assert_eq!(told.matches("\"billing.RetentionEnded.v1\"").count(), 1, "{told}");
    }
    assert_eq!(server.get(&known).await.0, 404);
    let told = history(&server, &format!("customers/{id}")).await;
    assert!(![ON_THE_INVOICE[0], OF_ADELHEID[0]].iter().any(|said| told.contains(said)), "{told}");
    let position = erase(&server, id).await["position"].clone();
    assert_eq!(erase(&server, id).await["position"], position);
    assert!(server.stop().success());
    world.assert_gone(&[ON_THE_INVOICE[0], OF_ADELHEID[0]]);
}

#[tokio::test]
async fn an_erasure_that_was_set_aside_is_not_complete() {
    let world = World::on(Engine::Sqlite).await;
    let data = &world.data;
    let server = data.serve();
    let id = server.register_customer(OF_ADELHEID[0]).await;
    let order_id = server.place_order(&id, "sandbox:ok").await;
    server.order_is(&order_id, "confirmed").await;
    // The directory cannot take a change of the customer in, and what comes after has to wait.
    let hide = "ALTER TABLE customer RENAME TO hidden";
    data.execute("customers", hide).await;
    let change = json!({ "email": "second@quintessa.example" });
    server.post_ok(&format!("/api/v1/customers/{id}/change-contact"), &change).await;
    let parked = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["items"][0].is_object()
    };
    server.until_admin("/admin/parked", parked).await;
    data.execute("customers", "ALTER TABLE hidden RENAME TO customer").await;
    let path = format!("/admin/customers/{id}/erase");
    let (status, answer) = server.admin_do(Method::POST, &path).await;
    assert_eq!((status, &answer["complete"]), (202, &json!(false)), "{answer}");
    assert_eq!(answer["parked"], json!(["customers.directory.v1"]), "{answer}");
    data.run_ok(&["parked", "replay", "customers.directory", "--all"]);
    erase(&server, &id).await;
    assert_eq!(server.get(&format!("/api/v1/customers/{id}")).await.0, 404);
    // What an erased customer orders is refused.
    let (status, problem) = server.post("/api/v1/orders", &order(&id, "sandbox:ok")).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/refused/customer-closed")));
}

/// A checkpoint from a future that the log no longer knows says nothing of an erasure, and neither
/// does a module that does not run.
#[tokio::test]
async fn an_erasure_is_not_complete_while_nobody_can_tell() {
    let data = Data::new();
    let mut server = data.serve();
    let id = server.register_customer(OF_ADELHEID[0]).await;
    assert!(server.stop().success());
    let backup = data.path("backup.db");
    std::fs::copy(data.path("bascule.db"), &backup).unwrap();
    let mut server = data.serve();
    let order_id = server.place_order(&id, "sandbox:ok").await;
    server.order_is(&order_id, "confirmed").await;
    server.until_ready().await;
    assert!(server.stop().success());
    std::fs::copy(&backup, data.path("bascule.db")).unwrap();

    let mut server = data.serve();
    let path = format!("/admin/customers/{id}/erase");
    let (status, answer) = server.admin_do(Method::POST, &path).await;
    assert_eq!((status, &answer["complete"]), (202, &json!(false)), "{answer}");
    assert!(answer["pending"].as_array().unwrap().contains(&json!("customers.erasure")));
    data.run_ok(&["projections", "rebuild", "--all"]);
    erase(&server, &id).await;
    assert!(server.stop().success());

    let server = data.serve_with(&[("BASCULE_RUN", "[customers]")]);
    let (status, answer) = server.admin_do(Method::POST, &path).await;
    assert_eq!((status, &answer["complete"]), (202, &json!(false)), "{answer}");
    for module in ["orders", "payments", "billing"] {
        assert!(answer["not_run_here"].as_array().unwrap().contains(&json!(module)), "{answer}");
    }
    assert!(answer.get("documents_retained_until").is_none(), "{answer}");
}
