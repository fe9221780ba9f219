use serde_json::Value;

use super::*;

const GOOD: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
sale = { keep = ["party", "state"] }
line = { keep = ["sale", "product"], hash = ["note"], types = { product = "decimal" } }
product = { keep = ["code"] }
pair = { key = ["a", "b"], keep = ["sale"] }
[jq]
defs = "def one: 1;"
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"lines" = { many = "line", fk = "sale" }
"lines.product" = { one = "product", ref = "product", follow = false }
[aggregates.order.jq]
program = '''
{ status: .state, n: one,
  self: (.id | uid("sale")) }
'''
"#;

fn commands() -> BTreeSet<String> {
    BTreeSet::from(["orders.SyncOrder".to_owned(), "billing.SyncInvoice".to_owned()])
}

#[test]
fn a_good_mapping_is_understood() {
    let mapping = Mapping::parse(GOOD, &commands()).unwrap();
    let order = &mapping.aggregates[0];
    let paths: Vec<&str> = order.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["", "lines", "lines.product"]);
    assert!(!order.nodes[2].follow);
    assert_eq!(mapping.link_name(0), "line.sale");
}

#[test]
fn aggregates_keep_the_order_of_the_file() {
    let text = GOOD.replace("[aggregates.order]", "[aggregates.zebra]\nroot = \"product\"\ncommand = \"billing.SyncInvoice\"\njq = { program = \"{}\" }\n[aggregates.order]");
    let mapping = Mapping::parse(&text, &commands()).unwrap();
    let names: Vec<&str> = mapping.aggregates().map(|(name, _)| name).collect();
    assert_eq!(names, ["zebra", "order"]);
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    for (what, replacement, expected) in [
        ("version = 1", "version = 2", "line 2, version: version 2 is not supported: write 1"),
        ("source = \"shop\"", "source = \"a/b\"", "line 3, source: a name without `/`"),
        ("source = \"shop\"", "sauce = \"shop\"", "unknown field `sauce`"),
        ("keep = [\"party\", \"state\"]", "kept = []", "unknown field `kept`"),
        ("\"decimal\"", "\"money\"", "unknown variant `money`"),
        ("hash = [\"note\"]", "hash = [\"sale\"]", "tables.line: column `sale` is listed twice"),
        ("hash = [\"note\"]", "hash = [\"id\"]", "`id` is part of the key"),
        (
            "types = { product",
            "types = { price",
            "tables.line: `types` names `price`, which is not",
        ),
        (
            "root = \"sale\"",
            "root = \"sales\"",
            "line 12, aggregates.order: `root` is `sales`, which is not in [tables]: add it; did you mean `sale`?",
        ),
        (
            "orders.SyncOrder",
            "orders.SyncOrders",
            "there is no command `orders.SyncOrders`; known commands: billing.SyncInvoice, orders.SyncOrder",
        ),
        (
            "fk = \"sale\"",
            "fk = \"order\"",
            "line 16, aggregates.order.rows.\"lines\": table `line` has no column `order` in `keep`: add it to tables.line.keep",
        ),
        ("fk = \"sale\"", "fk = \"note\"", "`note` of `line` is in `hash`"),
        ("many = \"line\"", "many = \"lines\"", "table `lines` is not in [tables]"),
        (
            "many = \"line\", fk",
            "one = \"line\", fk",
            "write either `many` with `fk` or `one` with `ref`",
        ),
        (
            "fk = \"sale\"",
            "fk = \"sale\", required = true",
            "`required` can only be used with `one`",
        ),
        (
            "\"lines.product\"",
            "\"rows.product\"",
            "there are no rows at `rows`: define that place first",
        ),
        (
            "one = \"product\"",
            "one = \"pair\"",
            "the key of `pair` has 2 columns (`a`, `b`): name as many columns here",
        ),
        ("n: one", "n: two", "line 20, column 22, aggregates.order.jq: there is no filter `two/0`"),
        ("n: one", "n: now", "`now` is not available in mappings"),
        ("def one: 1;", "def one: ;", "line 11, column 18, jq.defs: expected term, found `;`"),
        (
            "uid(\"sale\")",
            "uid(\"sales\")",
            "uid(\"sales\") is not the id of an aggregate; the roots are sale",
        ),
        (
            "sale = { keep",
            "sale = { compare = \"trim\", keep",
            "write \"trimmed\", \"nocase\", or both in a list",
        ),
        (
            "ref = \"product\"",
            "ref = \"prodct\"",
            "table `line` has no column `prodct` in `keep`: add it to tables.line.keep; did you mean `product`?",
        ),
        ("orders.SyncOrder", "order.SyncOrder", "did you mean `orders.SyncOrder`?"),
    ] {
        assert!(GOOD.contains(what), "{what}");
        let error = Mapping::parse(&GOOD.replacen(what, replacement, 1), &commands()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{replacement}: {text}");
    }
}

#[test]
fn all_that_programs_misread_is_told_at_once_each_with_its_place() {
    let text = GOOD.replace(".state", ".sate").replace("def one: 1;", "def one: .parti;");
    let error = Mapping::parse(&text, &commands()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].contains("line 11, column 19, jq.defs: `parti`"), "{error}");
    assert!(lines[1].starts_with("line 20, column 12, aggregates.order.jq: `sate`"), "{error}");
}

#[test]
fn an_id_of_a_key_with_other_columns_is_refused_with_the_columns_to_give() {
    let refused = |key: &str| {
        let text = GOOD.replace("uid(\"sale\")", &format!("uid(\"sale\")), pair: ({key}")).replace(
            "[aggregates.order]",
            "[aggregates.bill]\nroot = \"pair\"\ncommand = \"billing.SyncInvoice\"\njq = { program = \"{}\" }\n[aggregates.order]",
        );
        Mapping::parse(&text, &commands()).map_err(|error| error.to_string())
    };
    for key in ["uid(\"pair\"; [.state])", ".state | uid(\"pair\")"] {
        let text = refused(key).unwrap_err();
        assert!(
            text.contains(
                "uid(\"pair\") gets one value, but the key of `pair` has 2 columns (`a`, `b`)"
            ),
            "{text}"
        );
        assert!(text.contains("uid(\"pair\"; [.A, .B])"), "{text}");
    }
    refused("uid(\"pair\"; [.state, .party])").unwrap();
    // What is not certain before it runs is found when it does.
    let mapping = refused("(.state | tojson | fromjson) | uid(\"pair\")").unwrap();
    let row = crate::jq::from_json(&serde_json::json!({ "id": 7, "state": "x" }));
    let order = mapping.aggregates.iter().find(|one| one.name == "order").unwrap();
    let error = order.program.run(row, 1 << 20).unwrap_err().to_string();
    assert!(error.contains("as many values as the table's key has columns"), "{error}");
}

#[test]
fn a_file_is_checked_before_it_is_known_which_commands_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapping.toml");
    let unreadable = Mapping::check(&file).unwrap_err();
    assert!(matches!(unreadable, MappingError::Unreadable { .. }), "{unreadable}");
    std::fs::write(&file, GOOD).unwrap();
    Mapping::check(&file).unwrap();
    std::fs::write(&file, GOOD.replacen("uid(\"sale\")", "uid(\"sales\")", 1)).unwrap();
    assert!(matches!(Mapping::check(&file).unwrap_err(), MappingError::Invalid { .. }));
}

#[test]
fn a_name_that_nothing_has_is_named_with_its_place_and_the_nearest() {
    for (what, replacement, expected) in [
        (
            "status: .state",
            "status: .sate",
            "line 20, column 12, aggregates.order.jq: `sate` is neither a column in `keep` of `sale` \
             nor a place in `rows`; did you mean `state`?",
        ),
        (
            "status: .state",
            "status: .state, l: [.lines[].product.cod]",
            "line 20, column 40, aggregates.order.jq: `cod` is neither a column in `keep` of \
             `product` nor a place in `rows`; did you mean `code`?",
        ),
        ("status: .state", "status: .lines.note", "`note` is read from a list of rows: put `[]`"),
        (
            "def one: 1;",
            "def one: .parti;",
            "line 11, column 19, jq.defs: `parti` is neither a column in `keep` of `sale`",
        ),
        ("status: .state", "status: .quite_another", "nor a place in `rows`"),
    ] {
        assert!(GOOD.contains(what), "{what}");
        let error = Mapping::parse(&GOOD.replacen(what, replacement, 1), &commands()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{replacement}: {text}");
        assert_eq!(replacement.contains("quite"), text.ends_with("`rows`"), "{text}");
    }
    // What an earlier release took, and stored with the mirror, is not refused later.
    assert!(Mapping::stored(&GOOD.replacen(".state", ".sate", 1)).is_ok());
}

#[test]
fn aggregates_that_share_a_root_or_a_command_need_ids_of_their_own() {
    let second = |root: &str, command: &str, ids: &str| {
        let text = format!(
            "{GOOD}\n[aggregates.other]\nroot = \"{root}\"\ncommand = \"{command}\"\n{ids}\njq = {{ program = \"{{}}\" }}\n"
        );
        Mapping::parse(&text, &commands()).map(drop).map_err(|error| error.to_string())
    };
    for (root, command, ids, problem) in [
        ("sale", "billing.SyncInvoice", "", "`sale` is the root of aggregate `order` already"),
        ("line", "orders.SyncOrder", "", "`orders.SyncOrder` is the command of aggregate `order`"),
        ("line", "orders.SyncOrder", "ids = \"a/b\"", "`ids` must be a name without `/`"),
        ("line", "orders.SyncOrder", "ids = \"sale\"", "which is the name of a table"),
    ] {
        let text = second(root, command, ids).unwrap_err();
        assert!(text.contains(problem), "{text}");
    }
    second("sale", "billing.SyncInvoice", "ids = \"sale-invoice\"").unwrap();
    second("line", "orders.SyncOrder", "ids = \"line-order\"").unwrap();
}

#[test]
fn a_person_in_an_orders_row_must_be_erasable_there() {
    let guest = |rows: &str, program: &str| {
        let text = format!(
            "{GOOD}\n[aggregates.guest]\nroot = \"sale\"\ncommand = \"customers.SyncCustomer\"\nids = \"guest\"\n{rows}\njq = {{ program = '{program}' }}\n"
        )
        .replace("[\"party\", \"state\"]", "[\"party\", \"state\", \"name\", \"mail\"], personal = [\"name\"]");
        let commands =
            BTreeSet::from(["orders.SyncOrder".to_owned(), "customers.SyncCustomer".to_owned()]);
        Mapping::parse(&text, &commands).map(drop).map_err(|error| error.to_string())
    };
    guest("", "{name}").unwrap();
    // What the order reads, too, is the order's.
    guest("", "{name, kind: .state}").unwrap();
    let text = guest("", "{name, email: .mail}").unwrap_err();
    assert!(text.contains("aggregates.guest: the root is also that of `order`"), "{text}");
    assert!(text.contains("add `mail` to tables.sale.personal"), "{text}");
    let rows = "rows = { \"lines\" = { many = \"line\", fk = \"sale\" } }";
    let text = guest(rows, "{name}").unwrap_err();
    assert!(text.contains("the rows at `lines` would be treated as the person's"), "{text}");
}

const GUESTS: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
sale = { keep = ["address", "mail", "note", "state"], personal = ["mail"] }
address = { keep = ["street", "country"] }
country = { keep = ["code"] }
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
jq = { program = '{status: .state, note: .note}' }
[aggregates.guest]
root = "sale"
command = "customers.SyncCustomer"
ids = "guest"
[aggregates.guest.rows]
"billing" = { one = "address", ref = "address" }
"billing.land" = { one = "country", ref = "country", follow = false }
[aggregates.guest.jq]
program = '{email: .mail, address: {line1: .billing.street, country: .billing.land.code}}'
"#;

fn guests() -> BTreeSet<String> {
    ["orders.SyncOrder", "customers.SyncCustomer"].map(str::to_owned).into()
}

#[test]
fn a_persons_row_beside_an_order_must_be_erasable_too() {
    let parse = |text: &str| Mapping::parse(text, &guests()).map_err(|error| error.to_string());
    let text = parse(GUESTS).unwrap_err();
    for part in [
        "aggregates.guest: the root is also that of `order`",
        "`address`, whose row is at `billing`: add `street` to tables.address.personal",
        "`follow = false` if many people share that row",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let personal = "[\"street\", \"country\"], personal = [\"street\"]";
    parse(&GUESTS.replace("[\"street\", \"country\"]", personal)).unwrap();
    // What an earlier release took, and stored with the mirror, is still read.
    assert!(Mapping::stored(GUESTS).is_ok());
}

#[test]
fn columns_that_become_fields_about_a_person_and_would_stay_are_found() {
    let personal = "[\"street\", \"country\"], personal = [\"street\"]";
    let text = GUESTS.replace("[\"street\", \"country\"]", personal);
    let is_personal = |command: &str, field: &str| match command {
        "orders.SyncOrder" => field == "note",
        _ => field != "kind",
    };
    let revealed = |text: &str| -> Vec<String> {
        let mapping = Mapping::parse(text, &guests()).unwrap();
        let revealed = mapping.revealed("customers.SyncCustomer", &is_personal).into_iter();
        revealed
            .map(|one| format!("{}.{} {} {}", one.table, one.column, one.aggregate, one.field))
            .collect()
    };
    // The country is shared.
    assert_eq!(revealed(&text), ["sale.note order note"]);
    let emptied = text.replace("personal = [\"mail\"]", "personal = [\"mail\", \"note\"]");
    assert_eq!(revealed(&emptied), [""; 0]);
    // An address of a customer's own row is not emptied with it: others may name it, too.
    let own = emptied
        .replace("personal = [\"street\"]", "personal = []")
        .replace(
            "root = \"sale\"\ncommand = \"customers",
            "root = \"party\"\ncommand = \"customers",
        )
        .replace("[tables]", "[tables]\nparty = { keep = [\"mail\", \"address\"] }");
    assert_eq!(revealed(&own), ["address.street guest address.line1"]);
}

#[test]
fn orders_listed_below_a_person_are_not_the_person() {
    let text = GUESTS
        .replace("root = \"sale\"\ncommand = \"customers", "root = \"party\"\ncommand = \"customers")
        .replace("[tables]", "[tables]\nparty = { keep = [\"mail\"] }\nphone = { keep = [\"party\", \"number\"] }")
        .replace("\"note\", \"state\"]", "\"note\", \"state\", \"party\"]")
        .replace("\"billing\" = { one = \"address\", ref = \"address\" }\n\"billing.land\" = { one = \"country\", ref = \"country\", follow = false }", "\"phones\" = { many = \"phone\", fk = \"party\" }\n\"sales\" = { many = \"sale\", fk = \"party\" }")
        .replace(".billing.street, country: .billing.land.code", ".phones[0].number");
    let mapping = Mapping::parse(&text, &guests()).unwrap();
    let personal = mapping.personal_columns("customers.SyncCustomer");
    let of = |table: &str| personal[table].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((of("party"), of("phone")), (vec!["mail"], vec!["number"]));
    assert_eq!(of("sale"), ["mail"]);
}

#[test]
fn a_wrong_prefix_of_topics_and_milliseconds_read_as_microseconds_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("feed.jsonl");
    let row = |id: i64, product: &str| {
        format!(
            "{{\"topic\":\"shop.public.line\",\"key\":{{\"id\":{id}}},\"value\":{{\"op\":\"c\",\"after\":{{\"id\":{id},\"sale\":1,\"note\":null,\"product\":{product}}},\"source\":{{\"lsn\":{id},\"txId\":1}}}}}}"
        )
    };
    let survey = |text: &str, values: &[&str]| {
        let lines: Vec<String> = (1..).zip(values).map(|(id, value)| row(id, value)).collect();
        std::fs::write(&feed, lines.join("\n")).unwrap();
        Mapping::parse(text, &commands()).unwrap().survey(std::slice::from_ref(&feed)).unwrap()
    };
    let other = GOOD.replace("shop.public.", "shop.pub.");
    let found = survey(&other, &["1"]);
    assert_eq!(found.unknown.len(), 1, "{found:?}");
    assert!(found.unknown[0].problem.ends_with("did you mean `shop.public.`?"), "{found:?}");
    assert_eq!(found.unknown[0].line, 4);
    let times = GOOD.replace("product = \"decimal\"", "product = \"timestamp\"").replace(
        "product = { keep = [\"code\"] }",
        "product = { keep = [\"code\"], types = { id = \"timestamp\" } }",
    );
    let doubted = survey(&times, &["1719790800000", "1719790800001", "null", "1719790800002"]);
    assert_eq!(doubted.doubtful.len(), 1, "{doubted:?}");
    assert!(doubted.doubtful[0].problem.contains("all 3 values of `line.product`"), "{doubted:?}");
    for fine in [
        &["1719790800000000", "1719790800001", "1719790800002"][..],
        &["1719790800000", "1719790800001"],
    ] {
        assert!(survey(&times, fine).doubtful.is_empty(), "{fine:?}");
    }
}

#[test]
fn a_prefix_selects_the_rows_it_names() {
    let link = Link {
        table: 0,
        columns: vec!["origin".to_owned()],
        prefix: Some("sale.line,".to_owned()),
        form: KeyForm::default(),
    };
    let target = |value: Value| link.target(&Image::from_iter([("origin".to_owned(), value)]));
    assert_eq!(target("sale.line,12".into()), Some("12".to_owned()));
    assert_eq!(target("account.invoice.line,12".into()), None);
    assert_eq!(target(Value::Null), None);
}

#[test]
fn ids_of_a_name_of_their_own_are_made_of_keys_as_they_are_compared() {
    let text = GOOD
        .replace("sale = { keep", "sale = { compare = \"trimmed\", keep")
        .replace("[aggregates.order]", "[aggregates.bill]\nroot = \"sale\"\ncommand = \"billing.SyncInvoice\"\nids = \"bill\"\njq = { program = '{self: (.id | uid(\"bill\"))}' }\n[aggregates.order]");
    let mapping = Mapping::parse(&text, &commands()).unwrap();
    let row = crate::jq::from_json(&serde_json::json!({ "id": "7   " }));
    let state = mapping.aggregates[0].program.run(row, 1 << 20).unwrap();
    assert_eq!(state, serde_json::json!({ "self": mapping.uid(0, "7") }));
}

#[test]
fn keys_that_are_numbers_have_one_form_whichever_column_has_the_type() {
    let plain = GOOD.replace(", types = { product = \"decimal\" }", "");
    let by_key =
        plain.replace("keep = [\"code\"]", "keep = [\"code\"], types = { id = \"decimal\" }");
    assert!(plain != GOOD && by_key != plain);
    let parse = |text: &str| Mapping::parse(text, &commands()).unwrap();
    let plain = parse(&plain);
    for mapping in [parse(GOOD), parse(&by_key)] {
        let product = mapping.table_ids["product"];
        assert_eq!(mapping.tables[product].form.numeric, [true]);
        let link = mapping.links.iter().find(|link| link.columns == ["product"]).unwrap();
        for written in ["7", "7.00", "007", "+7", "7  "] {
            let image = Image::from_iter([("product".to_owned(), Value::from(written))]);
            assert_eq!(link.target(&image).as_deref(), Some("7"), "{written}");
            assert_eq!(mapping.names().key("product", vec![written.to_owned()]), "7", "{written}");
        }
        // A mirror that was filled by an earlier release may have its keys in another form.
        assert_ne!(mapping.mirror_fingerprint, plain.mirror_fingerprint);
        assert!(mapping.has_typed_keys());
    }
    assert!(!plain.has_typed_keys());
    assert_eq!(plain.names().key("product", vec!["007".to_owned()]), "007");
}

#[test]
fn a_survey_passes_over_records_that_are_no_rows_and_names_tables_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("feed.jsonl");
    let lines = [
        r#"{"topic":"__debezium-heartbeat.shop","key":null,"value":{"ts_ms":1}}"#,
        r#"{"topic":"other.public.sale","key":{"id":1},"value":{"op":"c","after":{"id":1,"x":2},"source":{"lsn":1,"txId":1}}}"#,
        r#"{"topic":"shop.public.sale","key":{"id":1},"value":{"op":"c","after":{"id":1,"party":2,"state":"a"},"source":{"lsn":2,"txId":2}}}"#,
    ];
    std::fs::write(&feed, lines.join("\n")).unwrap();
    let survey = Mapping::parse(GOOD, &commands()).unwrap().survey(&[feed]).unwrap();
    let unmapped: Vec<_> = survey.unmapped.keys().collect();
    assert_eq!(unmapped, ["other.public.sale"]);
    assert!(survey.unknown.is_empty() && !survey.absent.contains("sale"), "{survey:?}");
}

#[test]
fn a_survey_refuses_keys_with_more_columns_than_the_mapping_names() {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("feed.jsonl");
    let line = r#"{"topic":"shop.public.sale","key":{"id":1,"shop":2,"region":3},"value":{"op":"c","after":{"id":1},"source":{"lsn":2,"txId":2}}}"#;
    std::fs::write(&feed, line).unwrap();
    let mapping = Mapping::parse(GOOD, &commands()).unwrap();
    let error = mapping.survey(&[feed]).unwrap_err().to_string();
    assert!(error.contains("table `sale`") && error.contains("`region` and `shop`"), "{error}");
}
