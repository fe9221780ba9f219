//! The main job on real input: after the import of a real ERP's change feed the API shows exactly
//! what SQL read from that ERP at the same moment, field by field.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::server::{Data, Server};

fn in_repository(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn import(data: &Data) -> Value {
    let printed = data.run_ok(&[
        "import",
        "--mapping",
        &in_repository("docs/examples/tryton/mapping.toml"),
        "--format",
        "debezium",
        "--json",
        &in_repository("tests/data/tryton-small.jsonl.gz"),
    ]);
    serde_json::from_str(printed.trim()).unwrap()
}

fn oracle() -> Value {
    let text = std::fs::read_to_string(in_repository("tests/data/tryton-small.oracle.json"));
    serde_json::from_str(&text.unwrap()).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every item of a list, by its key in the legacy system.
async fn all(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut next = format!("{path}?limit=200");
    loop {
        let (page, link) = server.get_page(&next).await;
        for item in array(&page["items"]) {
            let id = item["legacy"]["id"].as_str().unwrap().to_owned();
            assert!(found.insert(id, item.clone()).is_none(), "listed twice: {item}");
        }
        match link {
            Some(link) => next = link,
            None => return found,
        }
    }
}

/// The legacy's keys by our ids: references are compared in the legacy's terms.
fn keys_by_id(items: &BTreeMap<String, Value>) -> HashMap<String, i64> {
    items
        .iter()
        .map(|(key, item)| (item["id"].as_str().unwrap().to_owned(), key.parse().unwrap()))
        .collect()
}

fn keys_of(ids: &Value, keys: &HashMap<String, i64>) -> Vec<i64> {
    let mut found: Vec<i64> = array(ids).iter().map(|id| keys[id.as_str().unwrap()]).collect();
    found.sort_unstable();
    found
}

/// Amounts are equal as numbers: "0" and "0.00" are the same money.
fn assert_amount(ours: &Value, theirs: &Value, what: &str) {
    let number = |value: &Value| -> Option<rust_decimal::Decimal> {
        value.as_str().map(|text| text.parse().unwrap())
    };
    assert_eq!(number(ours), number(theirs), "{what}");
}

async fn caught_up(server: &Server) {
    server.until_ready().await;
}

#[tokio::test]
async fn after_the_import_the_api_shows_what_the_oracle_says() {
    let data = Data::new();
    let summary = import(&data);
    assert_eq!(summary["quarantined"], 0, "{summary}");
    let server = data.serve();
    caught_up(&server).await;
    let oracle = oracle();
    let customers = all(&server, "/api/v1/customers").await;
    let orders = all(&server, "/api/v1/orders").await;
    let invoices = all(&server, "/api/v1/billing/invoices").await;
    let payments = all(&server, "/api/v1/payments").await;

    compare_flags(&oracle, &customers, &orders);
    compare_customers(&oracle, &customers);
    compare_orders(&oracle, &orders, &keys_by_id(&customers));
    compare_invoices(&oracle, &invoices, &keys_by_id(&customers), &keys_by_id(&orders));
    compare_payments(&oracle, &payments, &keys_by_id(&invoices));
}

/// What is ugly in the legacy is here all the same, and says so.
fn compare_flags(
    oracle: &Value,
    customers: &BTreeMap<String, Value>,
    orders: &BTreeMap<String, Value>,
) {
    let flagged = |item: &Value, flag: &str| array(&item["legacy"]["flags"]).contains(&json!(flag));
    let parties = array(&oracle["parties"]).iter().filter(|party| party["customer"] == true);
    let mut addresses: HashMap<String, usize> = HashMap::new();
    for customer in customers.values().filter(|customer| customer["status"] == "open") {
        if let Some(email) = customer["email"].as_str() {
            *addresses.entry(email.trim().to_lowercase()).or_default() += 1;
        }
    }
    for party in parties {
        let customer = &customers[&party["id"].to_string()];
        let what = format!("party {}", party["id"]);
        assert_eq!(flagged(customer, "email_missing"), party["email"].is_null(), "{what}");
    }
    let mut shared = 0;
    for (key, customer) in customers {
        let open = customer["email"]
            .as_str()
            .map_or(0, |email| addresses.get(&email.trim().to_lowercase()).copied().unwrap_or(0));
        let others = open - usize::from(open > 0 && customer["status"] == "open");
        assert_eq!(flagged(customer, "email_shared"), others > 0, "party {key}");
        shared += usize::from(others > 0);
        let has_second_line = customer["address"]["line2"].is_string();
        assert_eq!(flagged(customer, "address_line_break"), has_second_line, "party {key}");
    }
    assert!(shared > 0, "the data has shared addresses");
    let mut foreign = 0;
    for order in orders.values() {
        let is_foreign = order["currency"] != "EUR";
        assert_eq!(flagged(order, "foreign_currency"), is_foreign, "{}", order["id"]);
        foreign += usize::from(is_foreign);
    }
    assert!(foreign > 0, "the data has foreign currencies");
}

fn compare_customers(oracle: &Value, ours: &BTreeMap<String, Value>) {
    let mut expected = 0;
    for party in array(&oracle["parties"]) {
        if party["customer"] != true {
            continue;
        }
        expected += 1;
        let customer = &ours[&party["id"].to_string()];
        let what = format!("party {}", party["id"]);
        assert_eq!(customer["name"], party["name"], "{what}");
        assert_eq!(customer["email"], party["email"], "{what}");
        assert_eq!(customer["phone"], party["phone"], "{what}");
        assert_eq!(customer["number"], party["code"], "{what}");
        let status = if party["active"] == true { "open" } else { "closed" };
        assert_eq!(customer["status"], status, "{what}");
        assert_eq!(customer["owner"], "legacy", "{what}");
        let town = [&customer["address"]["postal_code"], &customer["address"]["city"]];
        let town: Vec<&str> =
            town.iter().filter_map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
        let theirs = party["first_town"].as_str().unwrap_or_default().trim();
        assert_eq!(town.join(" "), theirs, "{what}");
    }
    // Whoever was a customer once and is none now is still here, closed.
    let gone: Vec<&str> = ours
        .iter()
        .filter(|(key, _)| {
            !array(&oracle["parties"])
                .iter()
                .any(|party| party["customer"] == true && party["id"].as_i64() == key.parse().ok())
        })
        .map(|(key, _)| key.as_str())
        .collect();
    assert!(gone.iter().all(|key| ours[*key]["status"] == "closed"), "{gone:?}");
    assert_eq!(ours.len() - gone.len(), expected);
    assert_eq!(expected, 150);
}

fn compare_orders(
    oracle: &Value,
    ours: &BTreeMap<String, Value>,
    customers: &HashMap<String, i64>,
) {
    let statuses: HashMap<&str, &str> = [
        ("confirmed", "confirmed"),
        ("processing", "confirmed"),
        ("done", "fulfilled"),
        ("cancelled", "cancelled"),
    ]
    .into();
    let mut expected = 0;
    let mut known = Vec::new();
    for sale in array(&oracle["orders"]) {
        let what = format!("sale {}", sale["id"]);
        let key = sale["id"].to_string();
        let Some(status) = statuses.get(sale["state"].as_str().unwrap()) else {
            // A draft is no order; one that was an order before is cancelled.
            if let Some(order) = ours.get(&key) {
                assert_eq!(order["status"], "cancelled", "{what}");
                known.push(key);
            }
            continue;
        };
        expected += 1;
        known.push(key.clone());
        let order = &ours[&key];
        assert_eq!(order["status"], *status, "{what}");
        assert_eq!(order["number"], sale["number"], "{what}");
        assert_eq!(order["reference"], sale["reference"], "{what}");
        assert_eq!(order["currency"], sale["currency"], "{what}");
        assert_eq!(order["date"], sale["sale_date"], "{what}");
        assert_eq!(
            json!(customers[order["customer_id"].as_str().unwrap()]),
            sale["party"],
            "{what}"
        );
        assert_amount(&order["total_net"], &sale["untaxed"], &what);
        assert_amount(&order["total_vat"], &sale["tax"], &what);
        assert_amount(&order["total"], &sale["total"], &what);
        let theirs: Vec<&Value> =
            array(&sale["lines"]).iter().filter(|line| line["type"] == "line").collect();
        let lines = array(&order["lines"]);
        assert_eq!(lines.len(), theirs.len(), "{what}");
        for (line, their) in lines.iter().zip(theirs) {
            assert_eq!(line["legacy_id"], their["id"].to_string(), "{what}");
            assert_eq!(line["unit"], their["unit"], "{what}");
            assert_amount(&line["quantity"], &their["quantity"], &what);
            assert_amount(&line["unit_price"], &their["unit_price"], &what);
        }
    }
    assert_eq!(expected, 255);
    // What was deleted there is cancelled here.
    for (key, order) in ours {
        if !known.contains(key) {
            assert_eq!(order["status"], "cancelled", "sale {key}");
        }
    }
}

fn compare_invoices(
    oracle: &Value,
    ours: &BTreeMap<String, Value>,
    customers: &HashMap<String, i64>,
    orders: &HashMap<String, i64>,
) {
    let statuses: HashMap<&str, &str> =
        [("posted", "issued"), ("paid", "paid"), ("cancelled", "voided")].into();
    let keys = keys_by_id(ours);
    let mut expected = 0;
    for theirs in array(&oracle["invoices"]) {
        let Some(status) = statuses.get(theirs["state"].as_str().unwrap()) else { continue };
        if theirs["number"].is_null() {
            continue;
        }
        expected += 1;
        let what = format!("invoice {}", theirs["id"]);
        let invoice = &ours[&theirs["id"].to_string()];
        assert_eq!(invoice["status"], *status, "{what}");
        assert_eq!(invoice["number"], theirs["number"], "{what}");
        assert_eq!(invoice["currency"], theirs["currency"], "{what}");
        assert_eq!(invoice["issue_date"], theirs["invoice_date"], "{what}");
        let customer = customers[invoice["customer_id"].as_str().unwrap()];
        assert_eq!(json!(customer), theirs["party"], "{what}");
        assert_amount(&invoice["total_net"], &theirs["untaxed"], &what);
        assert_amount(&invoice["total_vat"], &theirs["tax"], &what);
        assert_amount(&invoice["total"], &theirs["total"], &what);
        assert_amount(&invoice["paid"], &theirs["paid"], &what);
        assert_eq!(json!(keys_of(&invoice["order_ids"], orders)), theirs["sales"], "{what}");
        assert_eq!(json!(keys_of(&invoice["credits"], &keys)), theirs["credits"], "{what}");
        let negative = theirs["total"].as_str().unwrap().starts_with('-');
        let kind = if negative { "credit_note" } else { "invoice" };
        assert_eq!(invoice["kind"], kind, "{what}");
    }
    assert_eq!(expected, 218);
    assert_eq!(ours.len(), expected);
}

fn compare_payments(
    oracle: &Value,
    ours: &BTreeMap<String, Value>,
    invoices: &HashMap<String, i64>,
) {
    let mut captured: BTreeMap<i64, Vec<(String, String, String, Value)>> = BTreeMap::new();
    for payment in ours.values().filter(|payment| payment["status"] == "captured") {
        let invoice = invoices[payment["invoice_id"].as_str().unwrap()];
        captured.entry(invoice).or_default().push(comparable(payment));
    }
    let mut expected: BTreeMap<i64, Vec<(String, String, String, Value)>> = BTreeMap::new();
    for invoice in array(&oracle["invoices"]) {
        for payment in array(&invoice["payments"]) {
            let of = expected.entry(invoice["id"].as_i64().unwrap()).or_default();
            of.push(comparable(payment));
        }
    }
    for payments in captured.values_mut().chain(expected.values_mut()) {
        payments.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    }
    assert_eq!(captured, expected);
    assert_eq!(expected.values().map(Vec::len).sum::<usize>(), 185);
    // What was taken off again is no longer captured.
    assert!(ours.values().all(|one| one["status"] == "captured" || one["status"] == "cancelled"));
}

fn comparable(payment: &Value) -> (String, String, String, Value) {
    let text = |name: &str| payment[name].as_str().unwrap().to_owned();
    (text("date"), text("amount"), text("currency"), payment["reconciled"].clone())
}

#[tokio::test]
async fn imported_facts_trigger_nothing_and_importing_again_changes_nothing() {
    let data = Data::new();
    import(&data);
    let before = data.run_ok(&["events", "tail", "-n", "100000", "--json"]);
    let again = import(&data);
    assert_eq!(again["commands"]["imported"], 0, "{again}");
    assert_eq!(again["commands"]["revised"], 0, "{again}");
    let mut server = data.serve();
    caught_up(&server).await;
    // A new order goes all the way: everything before it has been seen by every policy.
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&id, "confirmed").await;
    assert!(server.stop().success());
    let after = data.run_ok(&["events", "tail", "-n", "100000", "--json"]);
    let new = after.strip_prefix(&before).expect("the log only grew");
    assert_eq!(new.matches("\"billing.InvoiceIssued.v1\"").count(), 1);
    assert_eq!(new.matches("\"payments.PaymentRequested.v1\"").count(), 1);
    assert!(!before.contains("InvoiceIssued") && !before.contains("PaymentRequested"));
    // Its number is the first of our own series.
    assert!(new.contains("-000001"));
}

#[tokio::test]
async fn what_the_legacy_owns_is_not_changed_through_the_api() {
    let data = Data::new();
    import(&data);
    let server = data.serve();
    caught_up(&server).await;
    let page = server.get_ok("/api/v1/orders?status=confirmed&owner=legacy&limit=1").await;
    let order = page["items"][0]["id"].as_str().unwrap();
    let reason = json!({"reason": "changed my mind"});
    let (status, problem) = server.post(&format!("/api/v1/orders/{order}/cancel"), &reason).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["type"].as_str().unwrap().contains("owned-by-legacy"), "{problem}");
}

#[tokio::test]
async fn an_import_that_is_killed_and_repeated_ends_in_the_same_state() {
    let whole = Data::new();
    import(&whole);
    let expected = states_of(&whole);

    let data = Data::new();
    // Each round is killed at the event it would write next after some more.
    for events in [50, 400, 900, 1_500] {
        let mut child = data
            .bascule()
            .args(["import", "--format", "debezium", "--mapping"])
            .arg(in_repository("docs/examples/tryton/mapping.toml"))
            .arg(in_repository("tests/data/tryton-small.jsonl.gz"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        data.until_log_holds(events, &mut child).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    import(&data);
    assert_eq!(states_of(&data), expected);
}

/// The last state each imported aggregate was given, personal data opened.
fn states_of(data: &Data) -> BTreeMap<String, Value> {
    let events = data.run_ok(&["events", "tail", "-n", "100000", "--json", "--personal"]);
    let mut states = BTreeMap::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let stream = event["stream"].as_str().unwrap().to_owned();
        states.insert(stream, event["data"]["state"].clone());
    }
    states
}
