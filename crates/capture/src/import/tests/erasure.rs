//! Erasure of a person: no data of them stays, and none is imported again.

use database::Engine;
use kernel::sync::LegacyReference;
use rstest::rstest;
use serde_json::json;

use super::super::session::Session;
use super::super::*;
use super::harness::*;
use super::shop::Shop;
use crate::erase;

const MAPPING: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
party = { keep = ["name"], hash = ["vat"] }
address = { keep = ["party", "street"] }
phone = { keep = ["address", "number"] }
sale = { keep = ["party", "state", "note"], personal = ["note"] }
line = { keep = ["sale", "qty", "remark"], types = { qty = "decimal" }, personal = ["remark"] }
[aggregates.customer]
root = "party"
command = "customers.SyncCustomer"
[aggregates.customer.rows]
"addresses" = { many = "address", fk = "party" }
"addresses.phones" = { many = "phone", fk = "address" }
[aggregates.customer.jq]
program = '''
if .name == "odd" then error("odd") else
{name, vat, streets: [.addresses[].street], phones: [.addresses[].phones[].number]} end
'''
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"customer" = { one = "party", ref = "party", follow = false }
"lines" = { many = "line", fk = "sale" }
[aggregates.order.jq]
program = '{state, note, lines: [.lines[] | {qty, remark}]}'
"#;

const CUSTOMER: &str = "customers.SyncCustomer";
const ORDER: &str = "orders.SyncOrder";

/// What is known of the person, wherever it stands.
const SAID_OF_ADA: [&str; 6] = [
    "Ada Martin",
    "rue de la Paix",
    "0102030405",
    "for Ada's mother",
    "the blue one Ada saw",
    "FR-ada",
];

/// Ada and Bob, each with an address, a telephone number, and a sale with one line.
fn shop() -> Shop {
    let mut shop = Shop::default();
    for (id, name, street, number, note, remark) in [
        (
            1,
            "Ada Martin",
            "1 rue de la Paix",
            "0102030405",
            "for Ada's mother",
            "the blue one Ada saw",
        ),
        (2, "Bob Durand", "2 rue Basse", "0999999999", "for Bob's mother", "the red one Bob saw"),
    ] {
        shop.begin();
        shop.put("party", id, json!({"name": name, "vat": format!("FR-{}", name)}));
        shop.put("address", 10 + id, json!({"party": id, "street": street}));
        shop.put("phone", 20 + id, json!({"address": 10 + id, "number": number}));
        shop.put("sale", id, json!({"party": id, "state": "open", "note": note}));
        shop.put("line", id, json!({"sale": id, "qty": 1.0, "remark": remark}));
    }
    shop
}

async fn erase_ada(world: &World) {
    let database = world.import().await.database;
    let ada = LegacyReference { source: "shop".to_owned(), id: "1".to_owned() };
    erase(&database, &world.key, CUSTOMER, &ada).await.unwrap();
    database.close().await;
}

async fn nothing_is_left(world: &World) {
    let bytes = world.stored().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("Bob Durand") && holds("the red one Bob saw"), "the mirror was not looked at");
    for text in SAID_OF_ADA {
        assert!(!holds(text), "{text} is in the mirror");
    }
}

#[rstest]
#[tokio::test]
async fn nothing_of_an_erased_person_stays_in_the_mirror(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    shop().import(&world).await;
    let hashed = world.held(CUSTOMER)["1"].clone().unwrap()["vat"].as_str().unwrap().to_owned();
    erase_ada(&world).await;
    nothing_is_left(&world).await;
    let bytes = world.stored().await;
    assert!(!bytes.windows(64).any(|window| window == hashed.as_bytes()), "its hash is there");
    // Once more, as after a crash.
    erase_ada(&world).await;
    nothing_is_left(&world).await;
}

#[rstest]
#[tokio::test]
async fn nothing_of_an_erased_person_comes_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = shop();
    shop.import(&world).await;
    erase_ada(&world).await;
    let told = world.told(CUSTOMER).len();
    // The legacy goes on with the person, with rows it had and with new ones.
    shop.begin();
    // The telephone number before the address it belongs to.
    shop.put("phone", 33, json!({"address": 32, "number": "0102030405"}));
    shop.put("address", 32, json!({"party": 1, "street": "3 rue de la Paix"}));
    shop.put("party", 1, json!({"name": "Ada Martin", "vat": "FR-ada"}));
    shop.put("sale", 1, json!({"party": 1, "state": "done", "note": "for Ada's mother"}));
    shop.put("line", 7, json!({"sale": 1, "qty": 2.0, "remark": "the blue one Ada saw"}));
    shop.begin().put("sale", 9, json!({"party": 1, "state": "new", "note": "for Ada's mother"}));
    shop.import(&world).await;
    nothing_is_left(&world).await;
    assert_eq!(world.told(CUSTOMER).len(), told, "a module was told of an erased person");
    let orders = world.held(ORDER);
    let nothing_said = json!({"qty": "2", "remark": null});
    let order = orders["1"].clone().unwrap();
    assert_eq!((&order["state"], &order["note"]), (&json!("done"), &json!(null)));
    assert!(order["lines"].as_array().unwrap().contains(&nothing_said), "{order}");
    assert_eq!(orders["9"].clone().unwrap()["note"], json!(null));
    assert_eq!(orders["2"].clone().unwrap()["note"], json!("for Bob's mother"));
}

#[rstest]
#[tokio::test]
async fn a_mirror_that_is_made_anew_has_nothing_of_an_erased_person(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    // Before there is anything, a mapping included.
    erase_ada(&world).await;
    let summary = shop().import(&world).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    nothing_is_left(&world).await;
    assert_eq!(world.held(CUSTOMER).keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(world.held(ORDER)["1"].clone().unwrap()["note"], json!(null));
}

#[tokio::test]
async fn what_came_before_the_row_that_tells_whose_it_is_goes_when_that_comes() {
    let mut world = World::new(MAPPING).await;
    // Every transaction has a turn of its own: what is below is in the mirror long before.
    world.sizes = Sizes { least: 1, ..Sizes::default() };
    erase_ada(&world).await;
    let mut shop = Shop::default();
    shop.begin().put("line", 1, json!({"sale": 1, "qty": 1.0, "remark": "the blue one Ada saw"}));
    shop.begin().put("phone", 21, json!({"address": 11, "number": "0102030405"}));
    shop.begin().put("line", 2, json!({"sale": 2, "qty": 1.0, "remark": "the red one Bob saw"}));
    shop.import(&world).await;
    let bytes = world.stored().await;
    assert!(bytes.windows(10).any(|window| window == b"0102030405"), "nobody can know yet");
    shop.begin().put("address", 11, json!({"party": 1, "street": "1 rue de la Paix"}));
    shop.begin().put("sale", 1, json!({"party": 1, "state": "open", "note": "for Ada's mother"}));
    shop.begin().put("sale", 2, json!({"party": 2, "state": "open", "note": "for Bob's mother"}));
    for (id, name) in [(1, "Ada Martin"), (2, "Bob Durand")] {
        shop.begin().put("party", id, json!({"name": name, "vat": format!("FR-{name}")}));
    }
    shop.import(&world).await;
    nothing_is_left(&world).await;
    let lines = |order: &str| world.held(ORDER)[order].clone().unwrap()["lines"].clone();
    assert_eq!(lines("1"), json!([{"qty": "1", "remark": null}]));
    assert_eq!(lines("2"), json!([{"qty": "1", "remark": "the red one Bob saw"}]));
    assert_eq!(world.held(CUSTOMER).keys().collect::<Vec<_>>(), ["2"]);
}

#[tokio::test]
async fn what_waits_to_be_sent_goes_too_and_other_commands_are_made_anew() {
    let world = World::new(MAPPING).await;
    let shop = shop();
    // Every command fails: all of them wait.
    for module in world.modules.values() {
        *module.failing.lock().unwrap() = usize::MAX;
    }
    let file = world.write("feed.jsonl", &shop.lines);
    world.try_run(&[&file]).await.unwrap_err();
    erase_ada(&world).await;
    nothing_is_left(&world).await;
    for module in world.modules.values() {
        *module.failing.lock().unwrap() = 0;
    }
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    assert_eq!(world.held(CUSTOMER).keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(world.held(ORDER)["1"].clone().unwrap()["note"], json!(null));
    assert_eq!(world.held(ORDER)["2"].clone().unwrap()["note"], json!("for Bob's mother"));
    nothing_is_left(&world).await;
}

#[tokio::test]
async fn who_is_in_quarantine_leaves_it() {
    let world = World::new(MAPPING).await;
    let mut shop = shop();
    shop.begin().put("party", 1, json!({"name": "odd", "vat": "FR-ada"}));
    assert_eq!(shop.import(&world).await.quarantined, 1);
    erase_ada(&world).await;
    assert_eq!(world.import().await.quarantine(100).await.unwrap(), []);
}

#[tokio::test]
async fn an_import_that_runs_is_stopped_because_it_may_hold_the_person() {
    let world = World::new(MAPPING).await;
    let file = world.write("feed.jsonl", &shop().lines);
    let (import, never) = (world.import().await, CancellationToken::new());
    let begun = Session::begin(&import, &NoProgress, &never).await.unwrap();
    erase_ada(&world).await;
    let error = begun.run(std::slice::from_ref(&file), Options::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Superseded { .. }), "{error}");
    world.run(&[&file]).await;
    nothing_is_left(&world).await;
}

#[test]
fn columns_that_are_keys_or_join_rows_cannot_be_personal() {
    for (table, column) in [("party", "id"), ("sale", "party")] {
        let personal = format!("{table} = {{ personal = [\"{column}\"], ");
        let mapping = MAPPING
            .replace(", personal = [\"note\"]", "")
            .replace(&format!("{table} = {{ "), &personal);
        let error = Mapping::parse(&mapping, &COMMANDS.map(str::to_owned).into()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{column}`")), "{error}");
        assert!(error.to_string().contains("cannot be in `personal`"), "{error}");
    }
}
