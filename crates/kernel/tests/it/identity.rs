//! What a subscription is follows from its type alone.

use kernel::subscription::{Identity, SubscriptionKind};
use serde_json::json;

use crate::names::NamesOfNextRelease;

#[test]
fn a_subscription_is_identified_by_its_type() {
    let names = Identity::of_projection::<NamesOfNextRelease>();
    assert_eq!((&*names.name, names.kind), ("house.names.v1", SubscriptionKind::Projection));
    assert_eq!(names.types, ["house.LampLit.v1", "house.LampLit.v2", "house.CandleLit.v1"]);
    let families: Vec<String> = names.families().into_iter().collect();
    assert_eq!(families, ["house.CandleLit", "house.LampLit"]);
    assert!(names.reads("house.LampLit.v1") && !names.reads("house.LampPutOut.v1"));
}

#[test]
fn events_are_read_as_the_subscription_would() {
    let names = Identity::of_projection::<NamesOfNextRelease>();
    assert!(names.read("house.CandleLit.v1", json!({ "name": "Ada" })).unwrap());
    assert!(names.read("house.CandleLit.v1", json!({})).is_err());
    assert!(!names.read("house.LampPutOut.v1", json!({})).unwrap());
}
