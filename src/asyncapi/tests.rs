//! What the description promises; that it is valid, the linter says.

use std::collections::BTreeSet;

use event_contract::{Published, Upcaster};
use kernel::event::Metadata;
use kernel::seams::{Clock as _, SystemClock, new_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn named(references: &Value) -> Vec<&str> {
    let references = references.as_array().unwrap().iter();
    references.map(|one| one["$ref"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[test]
fn a_subscription_receives_the_published_events_that_it_reads() {
    let document = document();
    for subscription in modules::descriptions().iter().flat_map(|module| &module.subscriptions) {
        let operations = document["operations"].as_object().unwrap().iter();
        let of_it = operations.filter(|(name, operation)| {
            operation["action"] == "receive" && name.starts_with(&format!("{}.", subscription.name))
        });
        let received: BTreeSet<&str> = of_it.flat_map(|(_, one)| named(&one["messages"])).collect();
        let published: BTreeSet<&str> =
            modules::catalogue().iter().map(|event| event.event_type).collect();
        let read: BTreeSet<&str> =
            subscription.types.iter().copied().filter(|one| published.contains(one)).collect();
        assert_eq!(received, read, "{}", subscription.name);
    }
}

/// An event of which two versions are stored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct LampLitV1 {}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct LampLit {}

impl Published for LampLitV1 {
    const TYPE: &'static str = "house.LampLit.v1";
}

impl Published for LampLit {
    const TYPE: &'static str = "house.LampLit.v2";
    const UPCASTER: Option<Upcaster<Self>> = Some(Upcaster::from::<LampLitV1>());
}

impl From<LampLitV1> for LampLit {
    fn from(_: LampLitV1) -> Self {
        Self {}
    }
}

#[test]
fn an_older_version_is_a_message_that_nobody_writes() {
    const BOTH: &[PublishedEvent] =
        &[PublishedEvent::of::<LampLitV1>(), PublishedEvent::of::<LampLit>()];
    let mut house = ModuleDescription::new("house", "Lamps.").publishes(BOTH);
    house.categories.push(StreamCategory {
        name: "lamp",
        written: vec![LampLit::TYPE],
        readable: vec![LampLitV1::TYPE, LampLit::TYPE],
    });
    let document = document_of(&[house]);
    let channel = &document["channels"]["lamp"]["messages"];
    assert_eq!(keys(channel), BTreeSet::from([LampLitV1::TYPE, LampLit::TYPE]));
    assert_eq!(named(&document["operations"]["house.lamp"]["messages"]), [LampLit::TYPE]);
    let described = |version: &str| &document["components"]["messages"][version]["description"];
    assert_eq!(described(LampLit::TYPE), &Value::Null);
    let older = described(LampLitV1::TYPE).as_str().unwrap();
    assert!(older.starts_with("Written by other releases only"), "{older}");
}

#[test]
fn what_travels_with_an_event_is_described() {
    let metadata = Metadata {
        correlation_id: new_id(),
        causation_id: Some(new_id()),
        traceparent: Some(String::new()),
        actor: "somebody".into(),
        origin_system: "bascule".into(),
        occurred_at: SystemClock.now(),
    };
    let described = super::metadata();
    let all = serde_json::to_value(&metadata).unwrap();
    assert_eq!(keys(&described["properties"]), keys(&all));
    let least = Metadata { causation_id: None, traceparent: None, ..metadata };
    let least = serde_json::to_value(least).unwrap();
    let required: BTreeSet<&str> =
        described["required"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(required, keys(&least));
}

/// AsyncAPI takes a payload for JSON Schema draft 07, in which these say something else or nothing.
#[test]
fn schemas_mean_the_same_to_readers_of_draft_07() {
    const OTHERWISE: &[&str] = &[
        "$anchor",
        "$defs",
        "$dynamicAnchor",
        "$dynamicRef",
        "$recursiveRef",
        "$vocabulary",
        "dependentRequired",
        "dependentSchemas",
        "maxContains",
        "minContains",
        "prefixItems",
        "unevaluatedItems",
        "unevaluatedProperties",
    ];
    fn check(event_type: &str, schema: &Value) {
        match schema {
            Value::Object(members) => {
                for (keyword, value) in members {
                    assert!(!OTHERWISE.contains(&keyword.as_str()), "{event_type}: {keyword}");
                    check(event_type, value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| check(event_type, item)),
            _ => {}
        }
    }
    for event in modules::catalogue() {
        check(event.event_type, &event.schema().to_value());
    }
}

#[cfg(feature = "system")]
mod system;
