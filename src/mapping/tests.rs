//! What is said of the fields is what the modules do.

use std::sync::Arc;

use kernel::execution::Cause;
use kernel::keys::MemoryKeyVault;
use kernel::seams::{SystemClock, new_id};
use kernel::sync::{
    LegacyReference, LegacyState, StatedCommand, SyncError, SyncOutcome, SyncRequest,
};
use serde_json::Value;

use super::commands;
use super::fields::{self, example};

/// What a module answers to a first state.
async fn told(command: &StatedCommand, state: &Value) -> Result<SyncOutcome, SyncError> {
    let environment =
        testkit::modules::environment(Arc::new(SystemClock), Arc::new(MemoryKeyVault::default()));
    let request = SyncRequest {
        id: new_id(),
        legacy: LegacyReference { source: "shop".to_owned(), id: "1".to_owned() },
        state: LegacyState::Present(state.clone()),
        cause: Cause::request(new_id(), "test"),
    };
    command.entrance(environment).sync(request).await
}

#[tokio::test]
async fn the_examples_are_understood_and_only_what_is_required_must_be_said() {
    assert_eq!(commands().len(), 4);
    for command in commands() {
        let schema = command.schema();
        let whole = example(&schema);
        let answer = told(&command, &whole).await;
        assert!(matches!(answer, Ok(SyncOutcome::Imported)), "{}: {answer:?}", command.name);
        let required: Vec<&str> =
            schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for name in schema["properties"].as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(name);
            let missing = told(&command, &without).await;
            let mut null = whole.clone();
            null[name] = Value::Null;
            let cleared = told(&command, &null).await;
            let at = format!("{} {name}: {missing:?}, {cleared:?}", command.name);
            assert_eq!(missing.is_err(), required.contains(&name.as_str()), "{at}");
            let nullable = fields::of(&schema).iter().any(|one| one.path == *name && one.nullable);
            assert_eq!(cleared.is_ok(), nullable, "{at}");
        }
        let mut more = whole.clone();
        more["custmer"] = "x".into();
        assert!(matches!(told(&command, &more).await, Err(SyncError::NotUnderstood(_))));
    }
}

#[test]
fn every_field_says_what_it_means_and_has_an_example() {
    for command in commands() {
        let fields = fields::of(&command.schema());
        for field in &fields {
            assert!(!field.meaning.is_empty(), "{} {}", command.name, field.path);
            assert!(!field.example.is_null(), "{} {}", command.name, field.path);
        }
    }
}

#[test]
fn what_is_about_a_person_is_marked() {
    let personal = |name: &str| -> Vec<String> {
        let command = commands().into_iter().find(|command| command.name == name).unwrap();
        let fields = fields::of(&command.schema());
        fields.into_iter().filter(|field| field.personal).map(|field| field.path).collect()
    };
    assert_eq!(personal("orders.SyncOrder"), ["comments", "note", "reference"]);
    let customer = personal("customers.SyncCustomer");
    for path in ["name", "email", "phone", "vat_number", "address", "address.city"] {
        assert!(customer.iter().any(|one| one == path), "{path}");
    }
}
