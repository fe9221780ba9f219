//! Several aggregates of one root, and several roots of one command.

use std::collections::BTreeSet;

use database::Engine;
use kernel::sync::LegacyReference;
use rstest::rstest;
use serde_json::json;

use super::harness::*;
use super::shop::Shop;
use crate::{Mapping, aggregate_id, erase};

/// A sale is an order and its own invoice, and a guest's is a customer as well; last year's sales
/// are in a table of their own.
const MAPPING: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
party = { keep = ["name"] }
sale = { keep = ["party", "total", "guest_name", "note"], personal = ["guest_name", "note"] }
line = { keep = ["sale", "remark", "qty"], personal = ["remark"] }
sale_2007 = { keep = ["total"] }
[aggregates.customer]
root = "party"
command = "customers.SyncCustomer"
[aggregates.customer.jq]
program = '{name}'
[aggregates.guest]
root = "sale"
command = "customers.SyncCustomer"
ids = "guest"
[aggregates.guest.jq]
program = 'if .party then {absent: "has an account"} else {name: .guest_name} end'
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"lines" = { many = "line", fk = "sale" }
[aggregates.order.jq]
program = '''
{ customer_id: (if .party then .party | uid("party") else .id | uid("guest") end),
  note, lines: [.lines[] | {remark, qty}] }
'''
[aggregates.order_2007]
root = "sale_2007"
command = "orders.SyncOrder"
ids = "sale-2007"
[aggregates.order_2007.jq]
program = '{total}'
[aggregates.invoice]
root = "sale"
command = "billing.SyncInvoice"
ids = "sale-invoice"
[aggregates.invoice.jq]
program = '{total, order_ids: [.id | uid("sale")], credits: [.id | uid("sale-invoice")]}'
"#;

const CUSTOMER: &str = "customers.SyncCustomer";

fn shop() -> Shop {
    let mut shop = Shop::default();
    shop.begin();
    shop.put("party", 1, json!({"name": "Ada Martin"}));
    shop.put("sale", 1, json!({"party": 1, "total": 10, "guest_name": null, "note": "for Ada"}));
    shop.put(
        "sale",
        2,
        json!({"party": null, "total": 20, "guest_name": "Zoé Hôte", "note": "chez Zoé"}),
    );
    shop.put("line", 1, json!({"sale": 2, "remark": "la bleue de Zoé", "qty": 3}));
    shop.put("sale_2007", 1, json!({"total": 7}));
    shop
}

fn id(ids: &str, key: &str) -> String {
    aggregate_id("shop", ids, key).to_string()
}

#[tokio::test]
async fn aggregates_of_one_root_have_ids_and_references_of_their_own() {
    let world = World::new(MAPPING).await;
    let summary = shop().import(&world).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    let told = |command: &str| -> BTreeSet<(String, String)> {
        let told = world.told(command).into_iter();
        told.map(|request| (request.legacy.id, request.id.to_string())).collect()
    };
    let expected = |pairs: &[(&str, String)]| -> BTreeSet<(String, String)> {
        pairs.iter().map(|(reference, id)| ((*reference).to_owned(), id.clone())).collect()
    };
    assert_eq!(
        told("orders.SyncOrder"),
        expected(&[
            ("1", id("sale", "1")),
            ("2", id("sale", "2")),
            ("sale-2007/1", id("sale-2007", "1"))
        ])
    );
    assert_eq!(
        told("billing.SyncInvoice"),
        expected(&[
            ("sale-invoice/1", id("sale-invoice", "1")),
            ("sale-invoice/2", id("sale-invoice", "2"))
        ])
    );
    let customers = world.held(CUSTOMER);
    assert_eq!(customers["1"], Ok(json!({"name": "Ada Martin"})));
    assert_eq!(customers["guest/2"], Ok(json!({"name": "Zoé Hôte"})));
    assert!(!customers.contains_key("guest/1"), "a sale with an account is no guest");
    let orders = world.held("orders.SyncOrder");
    assert_eq!(orders["2"].as_ref().unwrap()["customer_id"], id("guest", "2"));
    let invoice = world.held("billing.SyncInvoice")["sale-invoice/2"].clone().unwrap();
    assert_eq!(invoice["order_ids"], json!([id("sale", "2")]));
    assert_eq!(invoice["credits"], json!([id("sale-invoice", "2")]));
}

#[test]
fn what_is_made_of_a_persons_row_is_tied_to_the_person() {
    let mapping = Mapping::parse(MAPPING, &COMMANDS.map(str::to_owned).into()).unwrap();
    mapping.check_ties(CUSTOMER).unwrap();
}

#[rstest]
#[tokio::test]
async fn a_guest_is_erased_and_the_order_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(true, false)] mirror_is_there: bool,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = shop();
    if mirror_is_there {
        shop.import(&world).await;
    }
    let database = world.import().await.database;
    let guest = LegacyReference { source: "shop".to_owned(), id: "guest/2".to_owned() };
    erase(&database, &world.key, CUSTOMER, &guest).await.unwrap();
    database.close().await;
    if !mirror_is_there {
        shop.import(&world).await;
    }
    let bytes = world.stored().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("Ada Martin") && holds("for Ada"), "the mirror was not looked at");
    for text in ["Zoé", "Hôte"] {
        assert!(!holds(text), "{text} is in the mirror");
    }
    // The legacy says it again, and the order changes.
    shop.begin().put(
        "sale",
        2,
        json!({"party": null, "total": 25, "guest_name": "Zoé Hôte", "note": "chez Zoé"}),
    );
    shop.put("line", 2, json!({"sale": 2, "remark": "encore Zoé", "qty": 4}));
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    let order = world.held("orders.SyncOrder")["2"].clone().unwrap();
    assert_eq!(order["note"], json!(null));
    assert_eq!(order["lines"], json!([{"remark": null, "qty": 3}, {"remark": null, "qty": 4}]));
    let invoice = world.held("billing.SyncInvoice")["sale-invoice/2"].clone().unwrap();
    assert_eq!(invoice["total"], json!(25));
    // No command is sent for the guest any more; customers with an account are untouched.
    let of_guest = world.told(CUSTOMER).into_iter().filter(|told| told.legacy.id == "guest/2");
    assert_eq!(of_guest.count(), usize::from(mirror_is_there));
    let other = world.held("orders.SyncOrder")["1"].clone().unwrap();
    assert_eq!(other["note"], json!("for Ada"));
    let bytes = world.stored().await;
    assert!(!bytes.windows(4).any(|window| window == "Zoé".as_bytes()));
}

#[tokio::test]
async fn an_account_of_the_same_key_as_a_guest_is_another_person() {
    let world = World::new(MAPPING).await;
    let mut shop = shop();
    shop.begin().put("party", 2, json!({"name": "Bob Durand"}));
    shop.import(&world).await;
    let database = world.import().await.database;
    let account = LegacyReference { source: "shop".to_owned(), id: "2".to_owned() };
    erase(&database, &world.key, CUSTOMER, &account).await.unwrap();
    database.close().await;
    let bytes = world.stored().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("Zoé Hôte") && !holds("Bob Durand"));
}

/// The same by keys of two columns: shop 2 has a sale of the same number.
#[rstest]
#[tokio::test]
async fn a_guest_is_erased_along_rows_that_are_joined_by_several_columns(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mapping = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
sale = { key = ["shop", "id"], keep = ["place", "guest_name"], personal = ["guest_name"] }
place = { key = ["shop", "id"], keep = ["street"], personal = ["street"] }
line = { keep = ["shop", "sale", "remark"], personal = ["remark"] }
[aggregates.guest]
root = "sale"
command = "customers.SyncCustomer"
ids = "guest"
[aggregates.guest.jq]
program = '{name: .guest_name}'
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"place" = { one = "place", ref = ["shop", "place"] }
"lines" = { many = "line", fk = ["shop", "sale"] }
[aggregates.order.jq]
program = '{street: .place.street, remarks: [.lines[].remark]}'
"#;
    let world = World::on(engine, mapping).await;
    let mut lines = Vec::new();
    for (position, shop) in ["north", "south"].into_iter().enumerate() {
        for (table, key, row) in [
            ("place", json!({"shop": shop, "id": 7}), json!({"street": format!("{shop} street")})),
            (
                "sale",
                json!({"shop": shop, "id": 1}),
                json!({"place": 7, "guest_name": format!("Zoé of the {shop}")}),
            ),
            (
                "line",
                json!({"id": position}),
                json!({"shop": shop, "sale": 1, "remark": format!("left {shop} gate")}),
            ),
        ] {
            let (mut after, key) = (row, key);
            after.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
            let source =
                json!({"lsn": lines.len() + 1, "txId": 1, "snapshot": "false", "ts_ms": 1});
            let value = json!({"op": "c", "before": null, "after": after, "source": source});
            let record =
                json!({"topic": format!("shop.public.{table}"), "key": key, "value": value});
            lines.push(record.to_string());
        }
    }
    let file = world.write("feed.jsonl", &lines);
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 4));
    let database = world.import().await.database;
    let guest =
        LegacyReference { source: "shop".to_owned(), id: "guest/[\"north\",\"1\"]".to_owned() };
    erase(&database, &world.key, CUSTOMER, &guest).await.unwrap();
    database.close().await;
    let bytes = world.stored().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["Zoé of the north", "north street", "left north gate"] {
        assert!(!holds(text), "{text} is in the mirror");
    }
    for text in ["Zoé of the south", "south street", "left south gate"] {
        assert!(holds(text), "{text} went, too");
    }
}
