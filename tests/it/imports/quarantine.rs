//! What can never be recorded stops nothing.

use super::*;

/// The names of the customers that the API shows, by their keys in the legacy.
async fn names(data: &Data) -> Vec<(String, String)> {
    let server = data.serve();
    server.until_ready().await;
    let (page, _) = server.get_page("/api/v1/customers?limit=200").await;
    let mut names: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let key = item["legacy"]["id"].as_str().unwrap().to_owned();
            (key, item["name"].as_str().unwrap_or_default().chars().take(10).collect())
        })
        .collect();
    names.sort();
    names
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect()
}

#[rstest]
#[tokio::test]
async fn a_state_too_large_for_an_event_is_set_aside_and_a_corrected_program_replays_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let mut feed = Feed::default();
    feed.put("client", 1, json!({ "nom": "first" }));
    feed.put("client", 2, json!({ "nom": "n".repeat(1_100_000) }));
    feed.put("client", 3, json!({ "nom": "third" }));
    let file = feed.write(&data, "feed.jsonl");
    let mapping = customers(&data, "{name: .nom, number: (.id | tostring)}");
    let first = summary(&import(&data, &mapping, &file, &["--json"]), 1);
    assert_eq!((&first["quarantined"], &first["commands"]["imported"]), (&json!(1), &json!(2)));
    // Neither what waits nor what comes later is held up.
    feed.put("client", 4, json!({ "nom": "fourth" }));
    let file = feed.write(&data, "feed.jsonl");
    let second = summary(&import(&data, &mapping, &file, &["--json"]), 1);
    assert_eq!((&second["quarantined"], &second["commands"]["imported"]), (&json!(1), &json!(1)));

    let listed = data.run_ok(&["quarantine", "list", "--json"]);
    let entry: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&entry["source"], &entry["aggregate"]), (&json!("mini"), &json!("customer")));
    let reason = entry["reason"].as_str().unwrap();
    assert!(reason.contains("the store's limit is 1048576"), "{reason}");
    let shown = data.run_ok(&["quarantine", "show", "customer", "2"]);
    assert!(
        shown.contains(reason) && shown.contains("\"nom\": \"<text of 1100000 characters>\""),
        "{shown}"
    );
    let opened = data.run_ok(&["quarantine", "show", "customer", "2", "--json", "--personal"]);
    let opened: Value = serde_json::from_str(opened.trim()).unwrap();
    assert_eq!(opened["document"]["nom"].as_str().unwrap().len(), 1_100_000);
    let again = data.run(&["quarantine", "replay", "customer", "2"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(text(&again.stdout).contains("still in quarantine: "), "{again:?}");

    let mapping = customers(&data, "{name: .nom[0:100], number: (.id | tostring)}");
    let third = summary(&import(&data, &mapping, &file, &["--json"]), 0);
    assert_eq!((&third["quarantined"], &third["commands"]["imported"]), (&json!(0), &json!(1)));
    let expected = [("1", "first"), ("2", "nnnnnnnnnn"), ("3", "third"), ("4", "fourth")];
    assert_eq!(names(&data).await, pairs(&expected));
    assert_eq!(data.run_ok(&["quarantine", "list"]).trim(), "nothing is in quarantine");
}

/// Kind: `the4thdoctor/pg_chameleon#33`, `confluentinc/kafka-connect-jdbc#1216`.
#[rstest]
#[tokio::test]
async fn a_nul_character_is_refused_with_its_field_before_anything_is_recorded(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let (mapping, file) = (in_data("nul-character.toml"), in_data("nul-character.jsonl"));
    let done = summary(&import(&data, &mapping, &file, &["--json"]), 1);
    assert_eq!((&done["quarantined"], &done["commands"]["imported"]), (&json!(1), &json!(2)));
    let listed =
        data.run_ok(&["quarantine", "list", "--source", "mini", "--aggregate", "customer"]);
    assert!(listed.contains("mini customer 2"), "{listed}");
    assert!(listed.contains("contains a NUL character"), "{listed}");
    assert!(listed.contains("`name`") || listed.contains("`number`"), "{listed}");
    assert_eq!(names(&data).await, pairs(&[("1", "ok"), ("3", "ok3")]));
    assert!(data.run_ok(&["parked", "list"]).contains("no event is parked"));

    // Given up, it is not sent again until it changes.
    let refused = data.run(&["quarantine", "discard", "customer", "2"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    data.run_ok(&["quarantine", "discard", "customer", "2", "--yes"]);
    let again = data.run(&["quarantine", "discard", "customer", "2", "--yes"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(data.run_ok(&["quarantine", "list", "--json"]), "");
}

#[rstest]
#[tokio::test]
async fn a_nul_character_where_no_text_may_have_one_is_an_error_or_set_aside(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let mut feed = Feed::default();
    feed.put("client", 1, json!({ "nom": "a\0b" }));
    let file = feed.write(&data, "feed.jsonl");
    for program in ["{absent: .nom}", "error(.nom)", "error(\"a\\u0000b\")"] {
        let mapping = customers(&data, program);
        let done = summary(&import(&data, &mapping, &file, &["--json"]), 1);
        assert_eq!(done["quarantined"], 1, "{program}");
    }
    let line = json!({ "topic": "leg.public.client", "key": { "id": "a\0b" }, "value": {
        "op": "c", "after": { "id": "a\0b", "nom": "x" },
        "source": { "lsn": 99, "txId": 99, "snapshot": "false", "ts_ms": 1 } } });
    std::fs::write(data.path("key.jsonl"), format!("{line}\n")).unwrap();
    let mapping = customers(&data, "{name: .nom}");
    let output = import(&data, &mapping, &data.path("key.jsonl"), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("line 1") && told.contains("the key contains a NUL"), "{told}");
}

#[test]
fn what_is_not_in_quarantine_is_said() {
    let data = Data::new();
    let unnamed = data.run(&["quarantine", "replay"]);
    assert_eq!(unnamed.status.code(), Some(2), "{unnamed:?}");
    let mut feed = Feed::default();
    feed.put("client", 1, json!({ "nom": "first" }));
    let file = feed.write(&data, "feed.jsonl");
    import(&data, &customers(&data, "{name: .nom}"), &file, &[]);
    for (arguments, code, said) in [
        (&["show", "customer", "7"][..], 1, "no customer 7 of mini is in quarantine"),
        (&["replay", "customer", "7"], 1, "no customer 7 of mini is in quarantine"),
        (&["show", "customer", "7", "--source", "other"], 2, "known are mini"),
        (&["list", "--source", "other"], 2, "known are mini"),
        (&["list", "--aggregate", "costumer"], 2, "no mapping has an aggregate `costumer`"),
    ] {
        let mut all = vec!["quarantine"];
        all.extend_from_slice(arguments);
        let output = data.run(&all);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
    assert!(data.run_ok(&["quarantine", "replay", "--all"]).contains("0 still in quarantine"));
}

#[test]
fn a_person_whom_no_module_has_can_be_erased_and_stays_away() {
    let data = Data::new();
    let mut feed = Feed::default();
    feed.put("client", 1, json!({ "nom": "Zoé Hôte" }));
    feed.put("client", 2, json!({ "nom": "Ada Martin" }));
    let file = feed.write(&data, "feed.jsonl");
    let refused = r#"if .id == 1 then error("odd") else {name: .nom} end"#;
    let output = import(&data, &customers(&data, refused), &file, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let erase = |more: &[&str]| {
        let mut all = vec!["quarantine", "erase"];
        all.extend_from_slice(more);
        data.run(&all)
    };
    for (arguments, said) in [
        (&["customer", "1"][..], "confirm with --yes"),
        (&["customer", "2", "--yes"], "/erase erases what the modules and the mirror hold"),
        (&["order", "1", "--yes"], "the mapping has no aggregate"),
    ] {
        let output = erase(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
    let stored = || {
        let folder = std::fs::read_dir(data.path("")).unwrap();
        let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let ours = files.filter(|path| {
            !path.ends_with("feed.jsonl") && path.extension().is_none_or(|kind| kind != "toml")
        });
        ours.flat_map(|path| std::fs::read(path).unwrap()).collect::<Vec<u8>>()
    };
    let holds = |what: &str| stored().windows(what.len()).any(|window| window == what.as_bytes());
    assert!(holds("Zoé Hôte"));
    let output = erase(&["customer", "1", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!holds("Zoé Hôte") && holds("Ada Martin"));
    // Nor does the same row bring them back.
    let done = summary(
        &import(&data, &customers(&data, "{name: .nom}"), &file, &["--json", "--from-start"]),
        0,
    );
    assert_eq!(done["quarantined"], 0);
    assert!(!holds("Zoé Hôte"));
}
