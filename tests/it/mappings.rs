//! `bascule mapping`: what authors of mappings try before an import, on the examples of the
//! documentation.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::server::Data;

const EXAMPLES: [&str; 2] = ["gescom", "boutique"];

fn example(name: &str, file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name);
    folder.join(file).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(example(name, "expected.json")).unwrap()).unwrap()
}

/// Runs `bascule mapping try` on one aggregate.
fn try_out(data: &Data, name: &str, aggregate: &str, key: &[&str], more: &[&str]) -> Output {
    let (mapping, feed) = (example(name, "mapping.toml"), example(name, "feed.jsonl"));
    let mut arguments = vec!["mapping", "try", &mapping, "--feed", &feed, "--aggregate", aggregate];
    for key in key {
        arguments.extend(["--key", key]);
    }
    arguments.extend(more);
    data.run(&arguments)
}

#[test]
fn the_examples_are_valid_and_are_imported_whole() {
    for name in EXAMPLES {
        let data = Data::new();
        let (mapping, feed) = (example(name, "mapping.toml"), example(name, "feed.jsonl"));
        let checked = data.run_ok(&["mapping", "check", &mapping, "--feed", &feed]);
        assert!(checked.contains("is valid") && !checked.contains("error"), "{checked}");
        let import = ["import", "--mapping", &mapping, "--format", "debezium", "--json", &feed];
        let summary: Value = serde_json::from_str(data.run_ok(&import).trim()).unwrap();
        let present = |states: &Value| {
            let states = states.as_object().unwrap().values();
            // What came and went is imported, too.
            states.count() as u64
        };
        let all: u64 = expected(name).as_object().unwrap().values().map(present).sum();
        assert_eq!(summary["commands"]["imported"], all, "{name}: {summary}");
        assert_eq!(summary["quarantined"], 0);
        // Anew, into the same store: the same states record nothing.
        let again = [&import[..6], &["--fresh", &feed]].concat();
        let summary: Value = serde_json::from_str(data.run_ok(&again).trim()).unwrap();
        assert_eq!(summary["commands"]["imported"], 0, "{name}: {summary}");
        assert!(summary["changes"]["applied"].as_u64().unwrap() > 10, "{name}: {summary}");
    }
}

#[test]
fn what_is_tried_is_what_an_import_would_tell() {
    let data = Data::new();
    for (name, aggregate, key, command, reference) in [
        ("gescom", "order", &["4711"][..], "orders.SyncOrder", "4711"),
        ("gescom", "order_2007", &["3999"], "orders.SyncOrder", "commande-2007/3999"),
        (
            "gescom",
            "customer",
            &["001", "C13     "],
            "customers.SyncCustomer",
            "[\"001\",\"C13     \"]",
        ),
        ("gescom", "invoice", &["F0001     "], "billing.SyncInvoice", "F0001     "),
        ("boutique", "guest", &["104"], "customers.SyncCustomer", "guest/104"),
        ("boutique", "payment", &["104"], "payments.SyncPayment", "order-payment/104"),
    ] {
        let output = try_out(&data, name, aggregate, key, &["--personal", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let shown: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        let expected = &expected(name)[command][reference];
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(shown["result"]["present"][field], *value, "{reference} {field}");
        }
        assert_eq!(shown["legacy_id"], reference);
        assert_eq!(shown["command"], command);
        assert_eq!(shown["understood"], true);
    }
    // Nothing was made where it ran.
    assert!(!data.path("data").exists());
}

#[test]
fn nothing_about_a_person_is_shown_unless_asked_for() {
    let data = Data::new();
    for (name, aggregate, key, secrets, harmless) in [
        (
            "gescom",
            "customer",
            &["001", "C13     "][..],
            &["Noël", "NoÃ«l", "HAUTE", "BRUXELLES"][..],
            "person",
        ),
        ("boutique", "guest", &["104"], &["Léo", "leo@"], "\"paid_at\""),
        ("boutique", "order", &["101"], &["Zoé", "zoe@", "chez"], "2009-12-31T22:59:59Z"),
        ("boutique", "customer", &["1"], &["Ada", "Martin", "exemple.test", "75002"], "\"1\""),
    ] {
        for form in [&[][..], &["--json"]] {
            let masked = text(&try_out(&data, name, aggregate, key, form).stdout);
            for secret in secrets {
                assert!(!masked.contains(secret), "{aggregate} shows {secret}: {masked}");
            }
            assert!(masked.contains(harmless), "{aggregate} hides {harmless}: {masked}");
            let whole = text(
                &try_out(&data, name, aggregate, key, &[form, &["--personal"]].concat()).stdout,
            );
            assert!(
                secrets.iter().all(|secret| whole.contains(secret) || *secret == "NoÃ«l"),
                "{whole}"
            );
        }
    }
}

#[test]
fn what_is_wrong_with_one_aggregate_is_said_as_the_import_would() {
    let data = Data::new();
    let said = |aggregate: &str, key: &str, what: &str, with: &str| {
        let mapping = std::fs::read_to_string(example("gescom", "mapping.toml")).unwrap();
        assert!(mapping.contains(what), "{what}");
        let file = data.path("mapping.toml");
        std::fs::write(&file, mapping.replacen(what, with, 1)).unwrap();
        let (file, feed) = (file.display().to_string(), example("gescom", "feed.jsonl"));
        let output = data.run(&[
            "mapping",
            "try",
            &file,
            "--feed",
            &feed,
            "--aggregate",
            aggregate,
            "--key",
            key,
        ]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = said("order", "4711", "status: order_state", "statuss: order_state");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("unknown field `statuss`") && told.contains("quarantine"), "{told}");
    let (code, told) = said("order", "4711", "date(\"YYYYMMDD\")", "date(\"DDMMYYYY\")");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the day is before the year 1000"), "{told}");
    let (code, told) = said("order", "4714", "gescom", "gescom");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("absent, deleted"), "{told}");
    let (code, told) =
        said("payment", "1", "{ key = [\"NUM_FACT\"]", "{ key = [\"NUM_FACT\"], optional = []");
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = said("invoice", "f0001", "gescom", "gescom");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("no row with the key f0001; did you mean `F0001     `?"), "{told}");
    let (code, told) = said("ordre", "1", "gescom", "gescom");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("there are customer, order, order_2007, invoice, payment"), "{told}");
}

#[test]
fn names_that_the_feed_does_not_have_are_found_with_their_place() {
    let data = Data::new();
    let mapping = std::fs::read_to_string(example("gescom", "mapping.toml")).unwrap();
    let wrong = mapping
        .replace("\"TEL\"", "\"TELE\"")
        .replace(".TEL |", ".TELE |")
        .replace("\"LIGNES_2007\"", "\"LIGNE_2007\"")
        .replace("LIGNES_2007     =", "LIGNE_2007      =")
        .replace("TVA             = { key = [\"CODE_TVA\"], keep = [\"TAUX\"]", "TVA             = { key = [\"CODE_TVA\"], keep = [\"TAUX\", \"LIBELLE\"], optional = [\"LIBELLE\"]");
    let file = data.path("mapping.toml");
    std::fs::write(&file, &wrong).unwrap();
    let (file, feed) = (file.display().to_string(), example("gescom", "feed.jsonl"));
    let output = data.run(&["mapping", "check", &file, "--feed", &feed]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let at = |name: &str| {
        let line = wrong.lines().position(|line| line.contains(name)).unwrap();
        let column = wrong.lines().nth(line).unwrap().find(name).unwrap();
        (line + 1, column + 1)
    };
    let (line, column) = at("TELE\"");
    assert!(told.contains(&format!("error: line {line}, column {column}: `CLIENTS` has no column `TELE` in the feed; did you mean `TEL`?")), "{told}");
    let (line, column) = at("LIGNE_2007 ");
    assert!(told.contains(&format!("error: line {line}, column {column}: the feed has no table `LIGNE_2007`; did you mean `LIGNES_2007`?")), "{told}");
    assert!(told.contains("not mapped: LIGNES_2007, 1 records (CODE_TVA, DESIGNATION"), "{told}");
    assert!(told.contains("in the feed, but not stored: CLIENTS (DATE_CREA, TEL)"), "{told}");
    assert!(told.contains("stored, but not read by any program: TVA (LIBELLE)"), "{told}");
    let output = data.run(&["mapping", "check", &file, "--feed", &feed, "--json"]);
    let found: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(found["unknown"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found["unmapped"]["LIGNES_2007"]["records"], 1);
}

#[test]
fn the_fields_are_told_and_their_schemas_are_those_published() {
    let data = Data::new();
    let told = data.run_ok(&["mapping", "fields", "orders.SyncOrder"]);
    for expected in
        ["status (`confirmed` or `fulfilled` or `cancelled`, required", "lines[].sku", "personal"]
    {
        assert!(told.contains(expected), "{told}");
    }
    let all: Value = serde_json::from_str(&data.run_ok(&["mapping", "fields", "--json"])).unwrap();
    for (command, schema) in all.as_object().unwrap() {
        let published = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("openapi/sync/{command}.schema.json"));
        let published: Value =
            serde_json::from_str(&std::fs::read_to_string(published).unwrap()).unwrap();
        assert_eq!(*schema, published, "{command}");
    }
    let output = data.run(&["mapping", "fields", "orders.SyncOrders"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("known commands: customers.SyncCustomer, orders.SyncOrder")
    );
}

/// A draft of the French mapping in a file of its own, with one thing changed.
fn draft(data: &Data, what: &str, with: &str) -> String {
    let mapping = std::fs::read_to_string(example("gescom", "mapping.toml")).unwrap();
    assert!(mapping.contains(what), "{what}");
    let file = data.path("draft.toml");
    std::fs::write(&file, mapping.replacen(what, with, 1)).unwrap();
    file.display().to_string()
}

#[test]
fn a_whole_feed_is_tried_and_counted_as_an_import_would_take_it() {
    let data = Data::new();
    let feed = example("gescom", "feed.jsonl");
    let whole = |mapping: &str, more: &[&str]| {
        let output =
            data.run(&[&["mapping", "try", mapping, "--feed", &feed, "--all"], more].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let right = example("gescom", "mapping.toml");
    let (code, told) = whole(&right, &["--json"]);
    assert_eq!(code, Some(0), "{told}");
    let found: Value = serde_json::from_str(&told).unwrap();
    for tally in found["aggregates"].as_array().unwrap() {
        let command = tally["command"].as_str().unwrap();
        let is_of = |reference: &&String| match tally["aggregate"].as_str().unwrap() {
            "order" => !reference.starts_with("commande-2007/"),
            "order_2007" => reference.starts_with("commande-2007/"),
            _ => true,
        };
        let states = expected("gescom");
        let states = states[command].as_object().unwrap();
        let there = states.iter().filter(|(_, state)| state.get("absent").is_none());
        let there = there.filter(|(reference, _)| is_of(reference)).count();
        assert_eq!(tally["understood"], there, "{tally}");
        assert_eq!(tally["refused"], serde_json::json!({}));
    }
    let (code, told) = whole(&draft(&data, "status: order_state", "statuss: order_state"), &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("unknown field `statuss`") && told.contains("such as 47"), "{told}");
    let (code, told) =
        whole(&draft(&data, "\"30\": \"fulfilled\", ", ""), &["--aggregate", "order"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("× the program failed: unknown ETAT, such as 47"), "{told}");
    assert!(!told.contains("customer:"), "{told}");
    // A key in the wrong order names nobody.
    let swapped = draft(&data, "[.CODE_SOC, .CODE_CLI]", "[.CODE_CLI, .CODE_SOC]");
    let (code, told) = whole(&swapped, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("no such row in the feed: ") && told.contains("uid(\"CLIENTS\")"),
        "{told}"
    );
    let output = data.run(&[
        "mapping",
        "try",
        &swapped,
        "--feed",
        &feed,
        "--aggregate",
        "order",
        "--key",
        "4711",
    ]);
    let told = text(&output.stdout);
    assert!(
        told.contains("uid(\"CLIENTS\") of [\"C12     \",\"001\"]: the feed has no such row"),
        "{told}"
    );
}

#[test]
fn a_column_that_becomes_personal_and_would_stay_is_warned_of() {
    let data = Data::new();
    let mapping = std::fs::read_to_string(example("gescom", "mapping.toml")).unwrap();
    let file = data.path("obs.toml");
    let with = |personal: &str| {
        let text = mapping
            .replacen("\"DEVISE\"] }", &format!("\"DEVISE\", \"OBS\"], optional = [\"OBS\"]{personal} }}"), 1)
            .replacen("currency: (.DEVISE", "note: .OBS?, currency: (.DEVISE", 1)
            .replacen("[aggregates.order.rows]", "[aggregates.order.rows]\n\"client\" = { one = \"CLIENTS\", ref = [\"CODE_SOC\", \"CODE_CLI\"], follow = false }", 1);
        std::fs::write(&file, text).unwrap();
        data.run_ok(&["mapping", "check", &file.display().to_string()])
    };
    let told = with("");
    assert!(
        told.contains(
            "`COMMANDES.OBS` becomes `note` of order, which is personal: add the column to `personal`"
        ),
        "{told}"
    );
    let told = with(", personal = [\"OBS\"]");
    assert!(!told.contains("warning"), "{told}");
    for example_name in EXAMPLES {
        let told = data.run_ok(&["mapping", "check", &example(example_name, "mapping.toml")]);
        assert!(!told.contains("warning"), "{told}");
    }
}

#[test]
fn the_mapping_may_follow_the_feed_and_mistakes_are_json_where_asked_for() {
    let data = Data::new();
    let (mapping, feed) = (example("gescom", "mapping.toml"), example("gescom", "feed.jsonl"));
    let told = data.run_ok(&["mapping", "check", "--feed", &feed, &mapping]);
    assert!(told.contains("is valid"), "{told}");
    let output = data.run(&["mapping", "check", "--feed", &feed]);
    assert_eq!(output.status.code(), Some(2));
    let wrong = draft(&data, ".RAISON |", ".RAISONS |");
    let output = data.run(&["mapping", "check", &wrong, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert!(found["error"].as_str().unwrap().contains("did you mean `RAISON`?"), "{found}");
    let elsewhere = draft(&data, "gescom.public.", "gescom.");
    let output = data.run(&["mapping", "check", &elsewhere, "--feed", &feed]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("did you mean `gescom.public.`?"), "{output:?}");
    let output = data.run(&["mapping", "try", &elsewhere, "--feed", &feed, "--all"]);
    assert!(!text(&output.stderr).contains("from-start"), "{output:?}");
}
