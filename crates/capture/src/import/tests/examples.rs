//! The examples of `docs/examples`, compared with what was meant by their makers.

use std::collections::{BTreeMap, BTreeSet};

use database::Engine;
use rstest::rstest;
use serde_json::{Map, Value};

use super::harness::*;

/// What is wrong with a state, field by field. What is not expected may be there only as null.
fn differences(at: &str, held: &Value, expected: &Value, found: &mut Vec<String>) {
    match (held, expected) {
        (Value::Object(held), Value::Object(expected)) => {
            let names: BTreeSet<&String> = held.keys().chain(expected.keys()).collect();
            for name in names {
                let of =
                    |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                differences(&format!("{at}.{name}"), &of(held), &of(expected), found);
            }
        }
        (Value::Array(held), Value::Array(expected)) if held.len() == expected.len() => {
            for (index, (held, expected)) in held.iter().zip(expected).enumerate() {
                differences(&format!("{at}[{index}]"), held, expected, found);
            }
        }
        _ if held == expected => {}
        _ => found.push(format!("{at}: {held}, not {expected}")),
    }
}

#[rstest]
#[tokio::test]
async fn the_modules_are_told_what_was_meant(
    #[values("gescom", "boutique")] name: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let folder = from_the_crate("../../docs/examples").join(name);
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let world = World::on(engine, &read("mapping.toml")).await;
    let summary = world.run(&[&folder.join("feed.jsonl")]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0), "{summary:?}");
    let expected: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(&read("expected.json")).unwrap();
    let mut found = Vec::new();
    for command in COMMANDS {
        let held = world.held(command);
        let expected = &expected[command];
        let references: BTreeSet<&String> = held.keys().chain(expected.keys()).collect();
        for reference in references {
            let held = held.get(reference).map(|state| match state {
                Ok(state) => state.clone(),
                Err(reason) => serde_json::json!({ "absent": reason }),
            });
            let at = format!("{command} {reference}");
            let of = |value: Option<&Value>| value.cloned().unwrap_or_default();
            differences(&at, &of(held.as_ref()), &of(expected.get(reference)), &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
