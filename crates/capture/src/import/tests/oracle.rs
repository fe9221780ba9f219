//! The recorded feed of a real ERP, compared field by field with what that ERP said at its end.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use database::Engine;
use rstest::rstest;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::harness::*;
use crate::aggregate_id;

fn number(value: &Value) -> Option<Decimal> {
    value.as_str().map(|text| Decimal::from_str(text).unwrap())
}

fn id(table: &str, key: &Value) -> Value {
    json!(aggregate_id("tryton", table, &key.to_string()).to_string())
}

fn ids(table: &str, keys: &Value) -> Vec<Value> {
    keys.as_array().unwrap().iter().map(|key| id(table, key)).collect()
}

fn present(held: &Held) -> BTreeSet<&str> {
    held.iter().filter(|(_, state)| state.is_ok()).map(|(key, _)| key.as_str()).collect()
}

#[rstest]
#[tokio::test]
async fn the_modules_are_told_exactly_what_the_erp_holds(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let oracle =
        std::fs::read_to_string(from_the_crate("../../tests/data/tryton-small.oracle.json"))
            .unwrap();
    let oracle: Value = serde_json::from_str(&oracle).unwrap();
    let of = |what: &str| oracle[what].as_array().unwrap().clone();
    let world = whole_feed_on(engine).await;

    let customers = world.held("customers.SyncCustomer");
    let mut expected = BTreeSet::new();
    for party in of("parties").iter().filter(|party| party["customer"] == true) {
        let key = party["id"].to_string();
        let state = customers[&key].as_ref().unwrap();
        let open = party["active"] == true;
        assert_eq!(state["name"], party["name"], "{key}");
        assert_eq!(state["number"], party["code"], "{key}");
        assert_eq!(state["email"], party["email"], "{key}");
        assert_eq!(state["phone"], party["phone"], "{key}");
        assert_eq!(state["status"], if open { "open" } else { "closed" }, "{key}");
        assert_eq!(state["closed_reason"], if open { Value::Null } else { json!("inactive") });
        let flags = state["flags"].as_array().unwrap();
        assert_eq!(flags.contains(&json!("email_missing")), party["email"].is_null(), "{key}");
        match party["addresses"].as_i64() {
            Some(0) => assert!(state["address"].is_null(), "{key}"),
            _ => {
                let address = &state["address"];
                let part = |name: &str| address[name].as_str().unwrap_or("").to_owned();
                let town = format!("{} {}", part("postal_code"), part("city"));
                assert_eq!(json!(town.trim()), party["first_town"], "{key}");
            }
        }
        expected.insert(key);
    }
    assert_eq!(present(&customers), expected.iter().map(String::as_str).collect());

    let orders = world.held("orders.SyncOrder");
    let mut expected = BTreeSet::new();
    for order in of("orders") {
        let status = match order["state"].as_str().unwrap() {
            "draft" | "quotation" => continue,
            "confirmed" | "processing" => "confirmed",
            "done" => "fulfilled",
            other => other,
        };
        let key = order["id"].to_string();
        let state = orders[&key].as_ref().unwrap();
        assert_eq!(state["status"], status, "{key}");
        for (ours, theirs) in [
            ("number", "number"),
            ("reference", "reference"),
            ("date", "sale_date"),
            ("currency", "currency"),
        ] {
            assert_eq!(state[ours], order[theirs], "{key} {ours}");
        }
        for (ours, theirs) in [("total_net", "untaxed"), ("total_vat", "tax"), ("total", "total")] {
            assert_eq!(number(&state[ours]), number(&order[theirs]), "{key} {ours}");
        }
        assert_eq!(state["customer_id"], id("party_party", &order["party"]), "{key}");
        let note = state["note"].as_str().map(|note| note.chars().count() as u64);
        assert_eq!(note, order["comment_length"].as_u64(), "{key}");
        let theirs: Vec<&Value> = order["lines"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| line["type"] == "line")
            .collect();
        let ours = state["lines"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{key}");
        for line in theirs {
            let legacy_id = line["id"].to_string();
            let ours =
                ours.iter().find(|ours| ours["legacy_id"].as_str() == Some(&legacy_id)).unwrap();
            assert_eq!(number(&ours["quantity"]), number(&line["quantity"]), "{key}");
            assert_eq!(number(&ours["unit_price"]), number(&line["unit_price"]), "{key}");
            assert_eq!(ours["unit"], line["unit"], "{key}");
            assert!(!ours["vat_rates"].as_array().unwrap().is_empty(), "{key}");
        }
        let comments = order["lines"].as_array().unwrap().len() - ours.len();
        assert_eq!(state["comments"].as_array().unwrap().len(), comments, "{key}");
        expected.insert(key);
    }
    assert_eq!(present(&orders), expected.iter().map(String::as_str).collect());

    let invoices = world.held("billing.SyncInvoice");
    let mut expected = BTreeSet::new();
    for invoice in of("invoices").iter().filter(|invoice| !invoice["number"].is_null()) {
        let key = invoice["id"].to_string();
        let state = invoices[&key].as_ref().unwrap();
        let status = match invoice["state"].as_str().unwrap() {
            "posted" => "issued",
            "cancelled" => "voided",
            other => other,
        };
        assert_eq!(state["status"], status, "{key}");
        for (ours, theirs) in
            [("number", "number"), ("date", "invoice_date"), ("currency", "currency")]
        {
            assert_eq!(state[ours], invoice[theirs], "{key} {ours}");
        }
        for (ours, theirs) in
            [("total_net", "untaxed"), ("total_vat", "tax"), ("total", "total"), ("paid", "paid")]
        {
            assert_eq!(number(&state[ours]), number(&invoice[theirs]), "{key} {ours}");
        }
        let negative = number(&invoice["total"]).unwrap().is_sign_negative();
        assert_eq!(state["kind"], if negative { "credit_note" } else { "invoice" }, "{key}");
        assert_eq!(state["customer_id"], id("party_party", &invoice["party"]), "{key}");
        assert_eq!(state["order_ids"], json!(ids("sale_sale", &invoice["sales"])), "{key}");
        assert_eq!(state["credits"], json!(ids("account_invoice", &invoice["credits"])), "{key}");
        if status == "voided" {
            assert_eq!(state["credited_by"].as_array().unwrap().len(), 1, "{key}");
        }
        expected.insert(key);
    }
    assert_eq!(present(&invoices), expected.iter().map(String::as_str).collect());

    let payments = world.held("payments.SyncPayment");
    let expected: Vec<Value> = of("invoices")
        .iter()
        .flat_map(|invoice| {
            let invoice_id = id("account_invoice", &invoice["id"]);
            let payments = invoice["payments"].as_array().unwrap().clone();
            payments.into_iter().map(move |payment| {
                json!([
                    invoice_id,
                    payment["date"],
                    number(&payment["amount"]).unwrap().normalize(),
                    payment["currency"],
                    payment["reconciled"]
                ])
            })
        })
        .collect();
    let told: Vec<Value> = payments
        .values()
        .filter_map(|state| state.as_ref().ok())
        .map(|state| {
            assert_eq!(state["status"], "captured");
            json!([
                state["invoice_id"],
                state["date"],
                number(&state["amount"]).unwrap().normalize(),
                state["currency"],
                state["reconciled"]
            ])
        })
        .collect();
    let sorted = |mut values: Vec<Value>| {
        values.sort_by_key(ToString::to_string);
        values
    };
    assert_eq!(sorted(told), sorted(expected));
}

#[tokio::test]
async fn rates_are_percent_and_oddities_are_flagged() {
    let world = whole_feed().await;
    let orders = world.outcome();
    let of = |command: &str| {
        let states = orders.iter().filter(move |((owner, _), _)| *owner == command);
        states.map(|(_, state)| state.clone()).collect::<Vec<_>>()
    };
    let mut rates = BTreeSet::new();
    let mut flags = BTreeSet::new();
    for state in COMMANDS.iter().flat_map(|command| of(command)) {
        for line in state["lines"].as_array().into_iter().flatten() {
            rates.extend(line["vat_rates"].as_array().unwrap().iter().map(ToString::to_string));
        }
        let foreign = state["flags"].as_array().unwrap().contains(&json!("foreign_currency"));
        if let Some(currency) = state["currency"].as_str() {
            assert_eq!(foreign, currency != "EUR", "{state}");
        }
        flags.extend(state["flags"].as_array().unwrap().iter().map(ToString::to_string));
    }
    assert_eq!(rates, ["\"20\"", "\"5.5\""].map(str::to_owned).into());
    let expected = [
        "\"address_line_break\"",
        "\"email_missing\"",
        "\"foreign_currency\"",
        "\"price_four_decimals\"",
    ];
    assert_eq!(flags, expected.map(str::to_owned).into());
}
