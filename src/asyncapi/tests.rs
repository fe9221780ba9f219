//! What the description promises; that it is valid, the linter says.

use std::collections::BTreeSet;

use kernel::event::Metadata;
use kernel::seams::{Clock as _, SystemClock, new_id};

use super::*;

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn named(references: &Value) -> Vec<&str> {
    let references = references.as_array().unwrap().iter();
    references.map(|one| one["$ref"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[test]
fn streams_are_channels_and_event_versions_are_messages() {
    let document = document();
    assert_eq!(
        keys(&document["channels"]),
        BTreeSet::from(["customer", "invoice", "order", "payment"])
    );
    let order = &document["channels"]["order"];
    assert_eq!(order["address"], "order-{id}");
    assert!(keys(&order["messages"]).is_superset(&BTreeSet::from([
        "orders.OrderPlaced.v1",
        "orders.OrderCancelled.v1",
        "orders.OrderCancelled.v2",
    ])));
    let messages = &document["components"]["messages"];
    let types: BTreeSet<&str> = modules::catalogue().iter().map(|event| event.event_type).collect();
    assert_eq!(keys(messages), types);
    assert_eq!(
        messages["orders.OrderPlaced.v1"]["payload"]["$ref"],
        "./events/orders/OrderPlaced.v1.schema.json"
    );
}

#[test]
fn modules_send_what_they_write_and_receive_what_they_listen_to() {
    let document = document();
    let sent = &document["operations"]["orders.order"];
    assert_eq!((&sent["action"], &sent["tags"][0]["name"]), (&"send".into(), &"orders".into()));
    let sent = named(&sent["messages"]);
    assert!(sent.contains(&"orders.OrderCancelled.v2"), "{sent:?}");
    assert!(
        !sent.contains(&"orders.OrderCancelled.v1"),
        "an older version is not written: {sent:?}"
    );

    let received = &document["operations"]["billing.invoicing.order"];
    assert_eq!(received["action"], "receive");
    assert_eq!(received["channel"]["$ref"], "#/channels/order");
    assert_eq!(
        named(&received["messages"]),
        ["orders.OrderPlaced.v1", "orders.OrderCancelled.v1", "orders.OrderCancelled.v2"]
    );
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
