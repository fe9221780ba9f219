//! What holds for every module of the list, and for all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::event::family;
use kernel::execution::Cause;
use kernel::keys::MemoryKeyVault;
use kernel::seams::{SystemClock, new_id};
use kernel::sync::{
    LegacyReference, LegacyState, StatedCommand, SyncError, SyncOutcome, SyncRequest,
};
use module::ModuleDescription;
use serde_json::{Value, json};
use testkit::golden;

use crate::MODULES;

fn descriptions() -> Vec<ModuleDescription> {
    MODULES.iter().map(|module| module.description()).collect()
}

/// A module that no test holds to its promises would break them unseen.
#[test]
fn every_module_is_held_to_what_all_promise() {
    let domains = Path::new(env!("CARGO_MANIFEST_DIR")).join("domains");
    for module in descriptions().iter().filter(|module| module.routes.is_some()) {
        let folder = domains.join(module.name).join("tests").join(module.name);
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let is_held = files.into_iter().any(|file| {
            std::fs::read_to_string(file).unwrap().contains("testkit::module_contract!(")
        });
        assert!(is_held, "write `testkit::module_contract!(…);` in a file of {}", folder.display());
    }
}

/// Where the samples of a module's events are: the published ones, and those of its own.
fn samples(module: &str) -> Vec<PathBuf> {
    let domain = Path::new(env!("CARGO_MANIFEST_DIR")).join("domains").join(module);
    let folders = [domain.join("contract/golden"), domain.join("golden")];
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

#[test]
fn every_subscription_reads_every_version_that_was_ever_published_to_it() {
    let mut subscriptions = 0;
    for subscription in descriptions().iter().flat_map(|module| &module.subscriptions) {
        assert!(!subscription.types.is_empty(), "{} reads nothing", subscription.name);
        golden::are_read_by(subscription, samples);
        subscriptions += 1;
    }
    assert!(subscriptions > MODULES.len(), "there are only {subscriptions} subscriptions");
}

#[test]
fn a_subscription_that_reads_an_event_reads_all_its_versions() {
    let modules = descriptions();
    let published: BTreeSet<&str> =
        modules.iter().flat_map(|module| module.published).map(|event| event.event_type).collect();
    for subscription in modules.iter().flat_map(|module| &module.subscriptions) {
        let families = subscription.families();
        for event_type in &published {
            let reads_family = family(event_type).is_some_and(|family| families.contains(family));
            let (name, reads) = (&subscription.name, subscription.reads(event_type));
            assert_eq!(reads, reads_family, "{name} and {event_type}");
        }
    }
}

#[test]
fn every_published_event_is_written_to_the_streams_of_one_category() {
    for module in descriptions() {
        for event in module.published {
            let categories = module.categories.iter();
            let of_it = categories.filter(|one| one.readable.contains(&event.event_type)).count();
            assert_eq!(of_it, 1, "{}: name its decider in `Deciders`", event.event_type);
        }
    }
}

/// AsyncAPI takes a payload for JSON Schema draft 07, in which these mean something else or nothing.
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
    for event in descriptions().iter().flat_map(|module| module.published) {
        check(event.event_type, &event.schema().to_value());
    }
}

/// `openapi/asyncapi.json`: that it is up to date is checked with the other generated files.
#[test]
fn a_subscription_receives_the_published_events_that_it_reads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/asyncapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let modules = descriptions();
    let published: BTreeSet<&str> =
        modules.iter().flat_map(|module| module.published).map(|event| event.event_type).collect();
    let named = |references: &Value| -> Vec<String> {
        let references = references.as_array().unwrap().iter();
        let last =
            |one: &Value| one["$ref"].as_str().unwrap().rsplit('/').next().map(str::to_owned);
        references.filter_map(last).collect()
    };
    for subscription in modules.iter().flat_map(|module| &module.subscriptions) {
        let operations = document["operations"].as_object().unwrap().iter();
        let of_it = operations.filter(|(name, operation)| {
            operation["action"] == "receive" && name.starts_with(&format!("{}.", subscription.name))
        });
        let received: BTreeSet<String> =
            of_it.flat_map(|(_, one)| named(&one["messages"])).collect();
        let read = subscription.types.iter().filter(|one| published.contains(*one));
        let read: BTreeSet<String> = read.map(|one| (*one).to_owned()).collect();
        assert_eq!(received, read, "{}", subscription.name);
    }
}

#[test]
fn modules_listen_to_each_other_as_an_order_goes() {
    let modules = descriptions();
    let is_read_by = |event_type: &str, name: &str| {
        let module = modules.iter().find(|module| module.name == name).unwrap();
        module.readers_of(event_type).next().is_some()
    };
    for (event_type, consumers) in [
        ("orders.OrderPlaced.v1", &["billing"][..]),
        ("billing.InvoiceIssued.v1", &["payments"]),
        ("payments.PaymentCaptured.v1", &["billing"]),
        ("billing.InvoicePaid.v1", &["orders"]),
        ("customers.CustomerErased.v1", &["orders", "billing", "payments", "capture"]),
    ] {
        for name in consumers {
            assert!(is_read_by(event_type, name), "{name} does not read {event_type}");
        }
    }
    assert!(!is_read_by("orders.OrderFulfilled.v1", "billing"));
}

/// What a module answers to a first state.
async fn answer(command: &StatedCommand, state: &Value) -> Result<SyncOutcome, SyncError> {
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

fn commands() -> Vec<StatedCommand> {
    descriptions().into_iter().flat_map(|module| module.imports).collect()
}

#[tokio::test]
async fn the_examples_of_states_are_understood_and_only_what_is_required_must_be_said() {
    assert!(commands().len() >= 4);
    for command in commands() {
        let whole = command.example();
        let imported = answer(&command, &whole).await;
        assert!(matches!(imported, Ok(SyncOutcome::Imported)), "{}: {imported:?}", command.name);
        let fields = command.fields();
        for field in fields.iter().filter(|field| whole.get(&field.path).is_some()) {
            let name = &field.path;
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(name);
            let missing = answer(&command, &without).await;
            let mut null = whole.clone();
            null[name] = Value::Null;
            let cleared = answer(&command, &null).await;
            let at = format!("{} {name}: {missing:?}, {cleared:?}", command.name);
            assert_eq!(missing.is_err(), field.required, "{at}");
            assert_eq!(cleared.is_ok(), field.nullable, "{at}");
        }
        let mut more = whole.clone();
        more["custmer"] = json!("x");
        assert!(matches!(answer(&command, &more).await, Err(SyncError::NotUnderstood(_))));
    }
}

#[test]
fn every_field_of_a_state_says_what_it_means_and_has_an_example() {
    for command in commands() {
        for field in command.fields() {
            assert!(!field.meaning.is_empty(), "{} {}", command.name, field.path);
            assert!(!field.example.is_null(), "{} {}", command.name, field.path);
        }
    }
}

#[test]
fn what_is_about_a_person_is_marked() {
    let personal: BTreeMap<&str, Vec<String>> = commands()
        .into_iter()
        .map(|command| {
            let fields = command.fields().into_iter().filter(|field| field.personal);
            (command.name, fields.map(|field| field.path).collect())
        })
        .collect();
    assert_eq!(personal["orders.SyncOrder"], ["comments", "note", "reference"]);
    for path in ["name", "email", "phone", "vat_number", "address", "address.city"] {
        assert!(personal["customers.SyncCustomer"].iter().any(|one| one == path), "{path}");
    }
}
