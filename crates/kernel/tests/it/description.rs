//! What a module is follows from the types that decide it, and what it runs is compared with it.

use event_contract::PublishedEvent;
use kernel::description::ModuleDescription;
use kernel::projection::ProjectionRunner;
use kernel::subscription::{Subscription, SubscriptionKind};
use serde_json::json;

use crate::lamp::{LampDecider, house};
use crate::names::{Names, NamesOfNextRelease};
use crate::subscriptions::MemoryDatabase;

const NOTHING: &[PublishedEvent] = &[];

fn lamps() -> ModuleDescription {
    ModuleDescription::new("house", "Lamps.")
        .publishes(NOTHING)
        .decides::<LampDecider>()
        .projects::<NamesOfNextRelease>()
}

#[test]
fn a_module_is_described_by_its_types() {
    let described = lamps();
    let [lamps] = &*described.categories else { panic!("{described:?}") };
    assert_eq!(lamps.name, "lamp");
    assert!(lamps.written.contains(&"house.LampLit.v1"), "{lamps:?}");
    let [names] = &*described.subscriptions else { panic!("{described:?}") };
    assert_eq!((&*names.name, names.kind), ("house.names.v1", SubscriptionKind::Projection));
    assert_eq!(names.types, ["house.LampLit.v1", "house.LampLit.v2", "house.CandleLit.v1"]);
    let families: Vec<String> = names.families().into_iter().collect();
    assert_eq!(families, ["house.CandleLit", "house.LampLit"]);
    let readers = |event_type| described.readers_of(event_type).count();
    assert_eq!((readers("house.LampLit.v1"), readers("house.LampPutOut.v1")), (1, 0));
}

#[test]
fn events_are_read_as_the_subscription_would() {
    let described = lamps();
    let names = &described.subscriptions[0];
    assert!(names.read("house.CandleLit.v1", json!({ "name": "Ada" })).unwrap());
    assert!(names.read("house.CandleLit.v1", json!({})).is_err());
    assert!(!names.read("house.LampPutOut.v1", json!({})).unwrap());
}

#[test]
fn what_runs_and_is_not_described_is_named() {
    let environment = house().environment;
    let runner =
        |version| ProjectionRunner::new(version, environment.clone(), MemoryDatabase::new()).0;
    let (this, next) = (Names::<1>::default(), NamesOfNextRelease);
    let next: Box<dyn Subscription> =
        Box::new(ProjectionRunner::new(next, environment.clone(), MemoryDatabase::new()).0);
    assert_eq!(lamps().expect([&*next]), Ok(()));
    let this: Box<dyn Subscription> = Box::new(runner(this));
    let told = lamps().expect([&*this]).unwrap_err().to_string();
    for words in [
        "the projection house.names.v1 of house.LampLit.v1 is undescribed",
        "house.CandleLit.v1 does not run",
        "`description()`",
    ] {
        assert!(told.contains(words), "{told}");
    }
}
