//! Older versions of an event are read through their upcasters; versions of a newer release are
//! recognised as such.

use kernel::codec::{CodecError, EventSet};
use kernel::execution::{Cause, ExecuteError, LoadError};
use kernel::seams::new_id;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lamp::{Command, LampDecider, happens, house};

/// First it was watts, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BulbSoldV1 {
    watts: String,
}

/// Then a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BulbSoldV2 {
    watts: u32,
}

/// Then light, as people understood at last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BulbSold {
    lumens: u32,
}

event_contract::published! {
    "house.BulbSold.v1": BulbSoldV1;
    "house.BulbSold.v2": BulbSoldV2, from BulbSoldV1;
    "house.BulbSold.v3": BulbSold, from BulbSoldV2;
}

impl From<BulbSoldV1> for BulbSoldV2 {
    fn from(old: BulbSoldV1) -> Self {
        Self { watts: old.watts.parse().unwrap_or(0) }
    }
}

impl From<BulbSoldV2> for BulbSold {
    fn from(old: BulbSoldV2) -> Self {
        Self { lumens: old.watts * 12 }
    }
}

impl From<BulbSold> for BulbSoldV2 {
    fn from(new: BulbSold) -> Self {
        Self { watts: new.lumens / 12 }
    }
}

kernel::event_set! {
    enum Sale { Bulb(BulbSold) }
}

kernel::event_set! {
    /// The release before: version 3 is read, and not written yet.
    enum SaleBefore { Bulb(BulbSold) written as BulbSoldV2 }
}

#[track_caller]
fn lumens(event_type: &str, data: serde_json::Value) -> u32 {
    let Sale::Bulb(sold) = Sale::from_json(event_type, data).unwrap().unwrap();
    sold.lumens
}

#[test]
fn every_version_is_read_as_the_newest() {
    assert_eq!(lumens("house.BulbSold.v1", json!({ "watts": "60" })), 720);
    assert_eq!(lumens("house.BulbSold.v2", json!({ "watts": 40 })), 480);
    assert_eq!(lumens("house.BulbSold.v3", json!({ "lumens": 800 })), 800);
    assert!(Sale::from_json("house.BulbSold.v4", json!({})).unwrap().is_none());
    assert!(Sale::from_json("house.BulbSold.v1", json!({ "lumens": 800 })).is_err());
}

#[test]
fn the_newest_version_is_written() {
    let sold = Sale::from(BulbSold { lumens: 800 });
    assert_eq!(sold.event_type(), "house.BulbSold.v3");
    assert_eq!(sold.to_json().unwrap(), json!({ "lumens": 800 }));
    assert_eq!(Sale::types(), ["house.BulbSold.v3"]);
    let readable = ["house.BulbSold.v1", "house.BulbSold.v2", "house.BulbSold.v3"];
    assert_eq!(Sale::readable_types(), readable);
}

#[test]
fn a_version_can_be_read_one_release_before_it_is_written() {
    let sold = SaleBefore::from(BulbSold { lumens: 480 });
    assert_eq!(sold.event_type(), "house.BulbSold.v2");
    assert_eq!(sold.to_json().unwrap(), json!({ "watts": 40 }));
    assert_eq!(SaleBefore::types(), ["house.BulbSold.v2"]);
    assert!(
        SaleBefore::from_json("house.BulbSold.v3", json!({ "lumens": 800 })).unwrap().is_some()
    );
}

#[tokio::test]
async fn a_newer_version_is_recognised_and_a_command_on_it_may_succeed_elsewhere() {
    let (house, lamp) = (house(), new_id());
    happens(&house.environment, lamp, "house.LampLit.v2", json!({})).await;
    let error = house.environment.load::<LampDecider>(lamp).await.unwrap_err();
    let LoadError::Codec(CodecError::UnknownVersion { event_type, known }) = &error else {
        panic!("{error}");
    };
    assert_eq!(event_type, "house.LampLit.v2");
    assert_eq!(known, &["house.LampLit.v1"]);
    let cause = Cause::request(new_id(), "test");
    let executed = house.environment.execute::<LampDecider>(lamp, Command::Count, &cause, None);
    let error = executed.await.unwrap_err();
    assert!(matches!(error, ExecuteError::Load(_)) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_event_of_no_known_family_is_told_apart() {
    let (house, lamp) = (house(), new_id());
    happens(&house.environment, lamp, "house.LampSwallowed.v1", json!({})).await;
    let error = house.environment.load::<LampDecider>(lamp).await.unwrap_err();
    assert!(matches!(error, LoadError::Codec(CodecError::UnknownType { .. })), "{error}");
}
