//! Keys of other legacy systems: how they are written, joined, compared and ordered, and erasures along
//! them.

use super::*;

#[tokio::test]
async fn whole_keys_beyond_64_bits_stay_apart() {
    let world = mini().await;
    let [a, b] = [("123456789012345678901234567890", "A"), ("123456789012345678901234567891", "B")]
        .map(|(id, name)| {
            client(10, "c", "false", 1, name).replace("\"id\":1", &format!("\"id\":{id}"))
        });
    world.run(&[&world.write("feed.jsonl", &[a, b])]).await;
    assert_eq!(
        names(&world),
        json!({ "123456789012345678901234567890": "A", "123456789012345678901234567891": "B" })
    );
}

#[tokio::test]
async fn keys_are_made_of_the_values_that_the_types_give() {
    let world = World::new(&text("typed-keys.toml")).await;
    world.run(&[&data("typed-keys.jsonl")]).await;
    let order = order(&world, "1");
    assert_eq!(order["number"], "tarif found");
    assert_eq!(order["flags"], json!(["art found"]));
}

/// Kinds: `nhl/link-move#67`, `readysettech/readyset#1522`.
#[rstest]
#[tokio::test]
async fn lines_come_in_the_order_of_the_numbers_in_their_keys(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, &tied()).await;
    let summary = world.run(&[&data("french.jsonl")]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    let order = order(&world, "4711");
    let lines: Vec<&str> = order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["legacy_id"].as_str().unwrap())
        .collect();
    assert_eq!(lines, ["4711/1", "4711/2", "4711/10"]);
}

/// The mapping of the French legacy with the order tied to its customer, by both columns of the key.
fn tied() -> String {
    let lines = "[aggregates.order.rows]\n";
    let client =
        "\"client\" = { one = \"CLIENTS\", ref = [\"CODE_SOC\", \"CODE_CLI\"], follow = false }\n";
    let mapping = text("french.toml").replacen(lines, &format!("{lines}{client}"), 1);
    mapping.replace("note: (.OBS | clean),", "note: (.OBS | clean), who: .client.RAISON,")
}

/// The same with keys that compare without the blanks at their end, in one case.
fn trimmed() -> String {
    let mut mapping = tied();
    for (table, compare) in [("FACTURES", "\"trimmed\""), ("CLIENTS", "[\"trimmed\", \"nocase\"]")]
    {
        let declared = format!("{table} = {{ key");
        assert!(mapping.contains(&declared));
        let compared = format!("{table} = {{ compare = {compare}, key");
        mapping = mapping.replacen(&declared, &compared, 1);
    }
    mapping
}

#[rstest]
#[tokio::test]
async fn joins_go_by_several_columns(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::on(engine, &tied()).await;
    world.run(&[&data("french.jsonl")]).await;
    let order = order(&world, "4711");
    assert!(order["who"].as_str().unwrap().starts_with("ÉTABLISSEMENTS"), "{order}");
    let id = crate::aggregate_id("gescom", "CLIENTS", "[\"001\",\"C12     \"]");
    assert_eq!(order["customer_id"], id.to_string());
    assert!(world.held(CUSTOMER).contains_key("[\"001\",\"C12     \"]"));
}

#[rstest]
#[case("french.jsonl")]
#[case("french-unpadded.jsonl")]
#[tokio::test]
async fn keys_compare_without_trailing_blanks_where_the_mapping_says_so(#[case] file: &str) {
    let world = World::new(&trimmed()).await;
    let summary = world.run(&[&data(file)]).await;
    assert_eq!(summary.quarantined, 0);
    let invoice = world.held(INVOICE)["F0001"].clone().unwrap();
    assert_eq!((&invoice["paid"], &invoice["number"]), (&json!("119.60"), &json!("F0001")));
    let payment = world.held(PAYMENT)["1"].clone().unwrap();
    // `uid` of the padded key is the id of the aggregate.
    let id = crate::aggregate_id("gescom", "FACTURES", "F0001").to_string();
    assert_eq!(payment["invoice_id"], id);
    assert!(world.told(INVOICE).iter().all(|request| request.id.to_string() == id));
    let order = order(&world, "4711");
    let customer = &world.told(CUSTOMER)[0];
    assert_eq!(order["customer_id"], customer.id.to_string());
    assert_eq!(customer.legacy.id, "[\"001\",\"c12\"]");
}

async fn erase_person(world: &World, source: &str, key: &str) {
    let database = world.import().await.database;
    let person = LegacyReference { source: source.to_owned(), id: key.to_owned() };
    erase(&database, &world.key, CUSTOMER, &person).await.unwrap();
    database.close().await;
}

async fn is_stored(world: &World, text: &str) -> bool {
    let bytes = world.stored().await;
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Kinds: `1602/jugglingdb#465`, `Talend/tmdm-server-se#1157`.
#[rstest]
#[tokio::test]
async fn an_erasure_reaches_rows_that_name_the_person_by_several_columns(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, &tied()).await;
    world.run(&[&data("french.jsonl")]).await;
    assert!(is_stored(&world, "LIVRER LE MATIN").await && is_stored(&world, "compta@").await);
    erase_person(&world, "gescom", "[\"001\",\"C12     \"]").await;
    assert!(!is_stored(&world, "LIVRER LE MATIN").await && !is_stored(&world, "compta@").await);
    // Nor does it come back.
    let from_start = Options { from_start: true, ..Options::default() };
    let files = [data("french.jsonl")];
    world.run_with(&[&files[0]], from_start, &CancellationToken::new()).await.unwrap();
    assert!(!is_stored(&world, "LIVRER LE MATIN").await);
    assert!(is_stored(&world, "ARTICLE 10").await, "the mirror was not looked at");
}

#[test]
fn personal_columns_that_nothing_ties_to_a_person_are_refused() {
    let commands = COMMANDS.map(str::to_owned).into();
    let parse = |text: &str| Mapping::parse(text, &commands).unwrap();
    let error = parse(&text("french.toml")).check_ties(CUSTOMER).unwrap_err().to_string();
    assert!(error.contains("tables.COMMANDES: `personal` columns are emptied"), "{error}");
    assert!(
        error.contains("line 10")
            && error.contains("{ one = \"CLIENTS\", ref = [\"…\", \"…\"], follow = false }"),
        "{error}"
    );
    parse(&tied()).check_ties(CUSTOMER).unwrap();
    parse(&text("orders-by-many.toml")).check_ties(CUSTOMER).unwrap();
    // A person imported here cannot be erased.
    parse(&text("french.toml")).check_ties("people.SyncPerson").unwrap();
}

#[rstest]
#[tokio::test]
async fn an_erased_customer_whose_document_lists_orders_leaves_them_to_go_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mapping = text("orders-by-many.toml").replace(
        "flags: [if .user_id then empty else \"guest\" end] }",
        "who: .address.line1, guest: .guest_email }",
    );
    let world = World::on(engine, &mapping).await;
    let file = data("orders-by-many.jsonl");
    world.run(&[&file]).await;
    for said in ["Zoé", "z@exemple.test", "1 rue X", "+33100000000"] {
        assert!(is_stored(&world, said).await, "{said}");
    }
    erase_person(&world, "oscar", "5").await;
    let nothing = async |world: &World| {
        for said in ["Zoé", "z@exemple.test", "1 rue X", "+33100000000", "2 rue Y"] {
            assert!(!is_stored(world, said).await, "{said} is in the mirror");
        }
        assert!(is_stored(world, "guest@exemple.test").await, "somebody else's went, too");
    };
    nothing(&world).await;
    // The order goes on, with another address.
    let told = world.told(CUSTOMER).len();
    let mut lines: Vec<String> =
        std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let source = |at: i64| json!({ "lsn": at, "txId": at, "snapshot": "false", "ts_ms": 1_200_000_000_000_i64 + at });
    let put = |table: &str, at: i64, row: Value| {
        json!({ "topic": format!("shop.public.{table}"), "key": { "id": row["id"] },
            "value": { "op": "u", "after": row, "source": source(at) } })
        .to_string()
    };
    let address = json!({ "id": 4, "first_name": "Zoé", "last_name": "Test", "line1": "2 rue Y",
        "line2": "", "line4": "Lyon", "postcode": "69002", "country_id": "FR", "phone_number": "" });
    lines.push(put("order_shippingaddress", 9_000, address));
    lines.push(put("order_order", 9_010, json!({ "id": 9, "number": "100009", "currency": "EUR",
        "total_incl_tax": "23.98", "total_excl_tax": "19.98", "status": "Complete", "guest_email": "z@exemple.test",
        "date_placed": "2024-06-30T22:30:00.000000Z", "user_id": 5, "shipping_address_id": 4 })));
    let later = world.write("later.jsonl", &lines);
    let summary = world.run(&[&later]).await;
    assert_eq!(summary.quarantined, 0);
    let order = order(&world, "9");
    assert_eq!((&order["status"], &order["number"]), (&json!("fulfilled"), &json!("100009")));
    assert_eq!((&order["who"], &order["guest"]), (&json!(null), &json!(null)));
    assert_eq!(order["lines"][0]["description"], "Livre");
    assert_eq!(world.told(CUSTOMER).len(), told, "a module was told of an erased person");
    nothing(&world).await;
    // Also into a mirror that is made anew.
    let anew = World::on(engine, &mapping).await;
    erase_person(&anew, "oscar", "5").await;
    anew.run(&[&later]).await;
    nothing(&anew).await;
    assert_eq!(anew.held(ORDER)["9"].clone().unwrap()["status"], "fulfilled");
}

/// A customer and an order that names it, where keys and the columns that name them are written as
/// numbers of different kinds.
#[rstest]
#[case("types = { id = \"decimal\" }", json!("7.00"), "types = { client = \"decimal\" }", json!("7"))]
#[case("types = { id = \"decimal\" }", json!("7"), "types = { client = \"decimal\" }", json!(7.0))]
#[case("types = { id = { precise = 2 } }", json!("Arw="), "types = { client = { precise = 0 } }", json!("Bw=="))]
#[case("types = { id = \"decimal\" }", json!({ "scale": 0, "value": "Bw==" }), "types = { client = \"decimal\" }", json!({ "scale": 2, "value": "Arw=" }))]
#[case("types = { id = \"decimal\" }", json!("007"), "", json!(7))]
#[case("", json!(7), "types = { client = \"decimal\" }", json!("7.00"))]
#[case("", json!(7.0), "", json!(7))]
#[case("", json!(7), "", json!(7.0))]
#[tokio::test]
async fn equal_numbers_are_one_key_however_they_are_written(
    #[case] key_type: &str,
    #[case] key: Value,
    #[case] naming_type: &str,
    #[case] naming: Value,
) {
    let mapping = text("numbers-as-keys.toml")
        .replace("KEY", if key_type.is_empty() { "optional = []" } else { key_type })
        .replace("NAMING", if naming_type.is_empty() { "optional = []" } else { naming_type });
    let world = World::new(&mapping).await;
    let lines = [
        record("client", 10, "c", "false", json!({ "id": key }), json!({ "id": key, "nom": "A" })),
        record("cde", 20, "c", "false", json!({ "id": 1 }), json!({ "id": 1, "client": naming })),
    ];
    let summary = world.run(&[&world.write("feed.jsonl", &lines)]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    let order = order(&world, "1");
    assert_eq!(order["number"], "A");
    assert_eq!(world.held(CUSTOMER)["7"].clone().unwrap()["flags"], json!(["1"]));
    let customer = &world.told(CUSTOMER)[0];
    assert_eq!(order["customer_id"], json!(customer.id));
    assert_eq!(customer.id, crate::aggregate_id("mini", "client", "7"));
}

#[tokio::test]
async fn texts_that_look_like_numbers_stay_apart_where_nothing_says_that_they_are() {
    let world = mini().await;
    let lines = [("7", 10), ("07", 20), ("7.0", 30)].map(|(id, at)| {
        record("client", at, "c", "false", json!({ "id": id }), json!({ "id": id, "nom": id }))
    });
    world.run(&[&world.write("feed.jsonl", &lines)]).await;
    assert_eq!(names(&world), json!({ "7": "7", "07": "07", "7.0": "7.0" }));
}

#[tokio::test]
async fn a_key_with_more_columns_than_the_mapping_names_stops_the_import() {
    let world = mini().await;
    let of = |society: i64, at: i64| {
        let row = json!({ "soc": society, "id": 7, "nom": format!("S{society}") });
        record("client", at, "c", "false", json!({ "soc": society, "id": 7 }), row)
    };
    let file = world.write("feed.jsonl", &[of(1, 10), of(2, 20)]);
    let error = error_of(&world, &file).await;
    assert!(error.contains("line 1") && error.contains("table `client`"), "{error}");
    assert!(error.contains("also has `soc`") && error.contains("`key`"), "{error}");
    let whole = "client = { key = [\"soc\", \"id\"], keep = [\"nom\"] }";
    let whole = text("mini.toml").replace("client = { keep = [\"nom\"] }", whole);
    let whole = whole.replace("(.client | uid(\"client\"))", "uid(\"client\"; [1, .client])");
    let world = World::new(&whole).await;
    world.run(&[&world.write("feed.jsonl", &[of(1, 10), of(2, 20)])]).await;
    assert_eq!(names(&world), json!({ "[\"1\",\"7\"]": "S1", "[\"2\",\"7\"]": "S2" }));
}
