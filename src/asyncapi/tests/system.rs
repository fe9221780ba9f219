//! What is told of the modules together.

use super::*;

#[test]
fn streams_are_channels_and_event_versions_are_messages() {
    let document = document();
    assert_eq!(
        keys(&document["channels"]),
        BTreeSet::from(["customer", "invoice", "order", "payment"])
    );
    let order = &document["channels"]["order"];
    assert_eq!(order["address"], "order-{id}");
    assert!(
        keys(&order["messages"])
            .is_superset(&BTreeSet::from(["orders.OrderPlaced.v1", "orders.OrderCancelled.v1",]))
    );
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
    assert!(sent.contains(&"orders.OrderCancelled.v1"), "{sent:?}");

    let received = &document["operations"]["billing.invoicing.order"];
    assert_eq!(received["action"], "receive");
    assert_eq!(received["channel"]["$ref"], "#/channels/order");
    assert_eq!(
        named(&received["messages"]),
        [
            "orders.OrderPlaced.v1",
            "orders.PaymentDeferred.v1",
            "orders.OrderReturned.v1",
            "orders.OrderCancelled.v1",
        ]
    );
}
