use event_contract::Personal;
use kernel::codec::CodecError;
use kernel::event::StreamName;
use kernel::execution::Cause;
use kernel::seams::new_id;
use serde_json::{Value, json};

use crate::lamp::{Command, LampDecider, LampEvent, LampLit, house};

#[tokio::test]
async fn personal_values_are_stored_sealed_and_read_in_the_clear() {
    let house = house();
    let id = new_id();
    let command = Command::Light { lamp_id: id, by: "Ada Martin" };
    let cause = Cause::request(new_id(), "test");
    house.environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap();
    let stored =
        house.environment.store.read_last(&StreamName::of("lamp", id)).await.unwrap().unwrap();
    let text = String::from_utf8(stored.data.clone()).unwrap();
    assert!(!text.contains("Ada Martin") && text.contains("$sealed"), "{text}");
    let lamp = house.environment.load::<LampDecider>(id).await.unwrap().state;
    assert_eq!(lamp.by, Some(Personal::Known("Ada Martin".to_owned())));
    let readable = house.environment.codec.readable_data(&stored).await.unwrap();
    assert_eq!(readable["by"], "Ada Martin");
}

#[tokio::test]
async fn a_destroyed_key_reads_as_erased() {
    let house = house();
    let id = new_id();
    let command = Command::Light { lamp_id: id, by: "Ada Martin" };
    let cause = Cause::request(new_id(), "test");
    house.environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap();
    house.environment.codec.destroy_keys(&[id], &[]).await.unwrap();
    // Another process: this one may keep keys and states for a minute.
    let lamp = house.beside().load::<LampDecider>(id).await.unwrap().state;
    assert_eq!(lamp.by, Some(Personal::Erased));
    assert_eq!(lamp.times, 1);
}

#[tokio::test]
async fn nothing_more_is_kept_about_a_person_who_was_erased() {
    let house = house();
    let id = new_id();
    house.environment.codec.destroy_keys(&[id], &[]).await.unwrap();
    let command = Command::Light { lamp_id: id, by: "Ada Martin" };
    let cause = Cause::request(new_id(), "test");
    house.environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap();
    let stored = house.environment.store.read_last(&StreamName::of("lamp", id)).await.unwrap();
    let stored: Value = serde_json::from_slice(&stored.unwrap().data).unwrap();
    assert_eq!(stored["by"], json!({ "$erased": true }));
    assert_eq!(house.environment.load::<LampDecider>(id).await.unwrap().state.times, 1);
}

#[tokio::test]
async fn personal_values_without_a_data_subject_are_refused() {
    let house = house();
    let event: LampEvent = LampLit { lamp_id: None, by: "Ada".to_owned().into() }.into();
    let error = house.environment.codec.encode(&event, new_id()).await.unwrap_err();
    assert!(matches!(error, CodecError::NoDataSubject { .. }), "{error}");
}

#[test]
fn a_personal_value_shows_itself_to_nobody_by_accident() {
    let lit = LampLit { lamp_id: None, by: "Ada".to_owned().into() };
    assert!(!format!("{lit:?}").contains("Ada"));
}
