//! Lists over HTTP: whatever the filter and the size of the pages, they hold together what the
//! whole list holds, in its order.

use chrono::{DateTime, Utc};
use serde_json::Value;
use testkit::postgres::TestDatabase;
use testkit::random::{Random, seed};

use crate::server::{Data, Server};

const QUESTIONS: usize = 60;

/// The lists, each with its date, a field that can be asked for and what it can be.
const LISTS: &[(&str, &str, &str, &[&str])] = &[
    ("customers", "registered_at", "status", &["open", "closed"]),
    ("orders", "placed_at", "status", &["awaiting_payment", "confirmed", "cancelled"]),
    ("orders", "placed_at", "currency", &["EUR", "CHF"]),
    ("billing/invoices", "issued_at", "kind", &["invoice", "credit_note"]),
    ("billing/invoices", "issued_at", "status", &["issued", "paid", "voided"]),
    ("payments", "requested_at", "status", &["captured", "declined"]),
];

fn moment(date: &Value) -> DateTime<Utc> {
    date.as_str().unwrap().parse().unwrap()
}

/// All pages of a list.
async fn in_pages(server: &Server, path: &str, limit: u64) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let (page, link) = server.get_page(&path).await;
        let found = page["items"].as_array().unwrap();
        assert!(found.len() as u64 <= limit, "{path}: {} items", found.len());
        assert!(link.is_none() || found.len() as u64 == limit, "{path}: a short page has a next");
        items.extend(found.iter().cloned());
        next = link;
    }
    items
}

async fn pages_hold_what_the_list_holds(data: Data) {
    let seed = seed();
    println!("SEED={seed} makes the same choices again");
    let mut random = Random::new(seed);
    let server = data.serve();
    for number in 0..12 {
        let customer = server.register_customer(&format!("ada{number}@exemple.fr")).await;
        for _ in 0..random.below(4) {
            let method = random.one_of(&["sandbox:ok", "sandbox:declined"]);
            let order = server.place_order(&customer, method).await;
            let end = if *method == "sandbox:ok" { "confirmed" } else { "cancelled" };
            server.order_is(&order, end).await;
        }
        if random.percent(30) {
            let path = format!("/api/v1/customers/{customer}/close");
            server.post_ok(&path, &serde_json::json!({"reason": "moved away"})).await;
        }
    }
    // Of every order its end is the last thing that happens.
    let head = server.head().await;
    for (list, date, field, values) in LISTS {
        let all = server.all_of(list, head).await;
        assert!(!all.is_empty(), "{list}");
        for _ in 0..QUESTIONS / LISTS.len() {
            let limit = 1 + random.below(7);
            let value = *random.one_of(values);
            let filter = random.percent(60);
            let filtered = if filter { format!("&{field}={value}") } else { String::new() };
            let mut expected: Vec<&Value> =
                all.iter().filter(|item| !filter || item[*field] == value).collect();
            let sort = *random.one_of(&["", "-"]);
            let sorted = random.percent(50);
            if sorted {
                expected.sort_by_key(|item| (moment(&item[*date]), item["id"].to_string()));
            }
            if sorted && sort == "-" {
                expected.reverse();
            }
            let order = if sorted { format!("&sort={sort}{date}") } else { String::new() };
            let path = format!("/api/v1/{list}?limit={limit}{filtered}{order}");
            let found = in_pages(&server, &path, limit).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn lists_are_the_same_in_pages_of_any_size_on_sqlite() {
    pages_hold_what_the_list_holds(Data::new()).await;
}

#[tokio::test]
async fn lists_are_the_same_in_pages_of_any_size_on_postgres() {
    pages_hold_what_the_list_holds(Data::within(TestDatabase::create().await)).await;
}
