//! The log: one JSON object a line, for machines.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::server::Data;

/// JSON of which no object has a key twice, with all its members by their names.
#[derive(Debug, Default)]
struct Unique(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Unique;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON without duplicate keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let (mut keys, mut members) = (BTreeSet::new(), Vec::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !keys.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("`{key}` stands twice")));
                    }
                    let text: Box<serde_json::value::RawValue> = map.next_value()?;
                    let inner: Unique =
                        serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
                    members.extend(inner.0);
                    let value =
                        serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
                    members.push((key, value));
                }
                Ok(Unique(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
                let mut members = Vec::new();
                while let Some(Unique(inner)) = items.next_element()? {
                    members.extend(inner);
                }
                Ok(Unique(members))
            }
            fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
                Ok(Unique::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique::default())
            }
            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique::default())
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

#[tokio::test]
async fn no_key_stands_twice_in_a_line_and_durations_are_numbers() {
    let data = Data::new();
    let mut server = data.serve_with(&[("BASCULE_LOG__FILTER", "debug")]);
    let customer = server.register_customer("ada@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:flaky").await;
    server.order_is(&order, "confirmed").await;
    assert!(server.stop().success());
    let log = data.server_log();
    let mut durations = BTreeSet::new();
    for line in log.lines() {
        let Unique(members) =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for (key, value) in members {
            if key.ends_with("_ms") {
                assert!(value.is_u64(), "{key} is no number: {line}");
                durations.insert(key);
            }
        }
    }
    let expected = ["elapsed_ms", "started_in_ms"].map(str::to_owned);
    assert!(expected.iter().all(|name| durations.contains(name)), "{durations:?}");
}

#[test]
fn a_key_that_stands_twice_is_found() {
    assert!(serde_json::from_str::<Unique>(r#"{"a":{"b":1,"b":[2]}}"#).is_err());
    assert!(serde_json::from_str::<Unique>(r#"{"a":{"b":1},"b":[{"c":null}]}"#).is_ok());
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of the calls of `tracing`'s macros in a text.
fn events(text: &str) -> Vec<&str> {
    let mut events = Vec::new();
    for (start, _) in text.match_indices("tracing::") {
        let call = &text[start..];
        let Some((name, arguments)) = call.split_once("!(") else { continue };
        if !name["tracing::".len()..].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            continue;
        }
        let mut depth = 1;
        let end = arguments.char_indices().find(|(_, sign)| {
            depth += i32::from(*sign == '(') - i32::from(*sign == ')');
            depth == 0
        });
        events.push(&arguments[..end.map_or(arguments.len(), |(end, _)| end)]);
    }
    events
}

/// What a field of an event may not be called, and how durations may not be logged.
fn mistakes(event: &str) -> Vec<String> {
    // What the formatter itself calls so.
    const RESERVED: &[&str] = &[
        "timestamp",
        "level",
        "target",
        "span",
        "spans",
        "filename",
        "line_number",
        "threadName",
        "threadId",
    ];
    let mut mistakes = Vec::new();
    for argument in event.split(',').map(str::trim) {
        let field = argument.split(['=', '.']).next().unwrap_or_default().trim();
        let field = field.trim_start_matches(['%', '?']);
        if RESERVED.contains(&field) {
            mistakes.push(format!("the field `{field}` is one of the formatter's own"));
        }
        if argument.contains("as_millis()") || argument.contains("as_micros()") {
            mistakes.push(
                "128-bit numbers become texts: use `kernel::outage::milliseconds`".to_owned(),
            );
        }
        if argument.contains(":?}") {
            mistakes.push(format!("{argument}: values belong in fields, durations as `…_ms`"));
        }
    }
    mistakes
}

#[test]
fn fields_of_events_are_named_so_that_they_collide_with_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "crates", "domains"] {
        sources(&root.join(folder), &mut files);
    }
    let mut looked_at = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for event in events(&text) {
            looked_at += 1;
            assert_eq!(mistakes(event), Vec::<String>::new(), "{}: {event}", file.display());
        }
    }
    assert!(looked_at > 50, "{looked_at}");
    for wrong in
        ["target, \"x\"", "level = 3", "%span", "a_ms = took.as_millis()", "\"in {pause:?}\""]
    {
        assert!(!mistakes(wrong).is_empty(), "{wrong}");
    }
}
