//! Importing the state of a legacy system.

use super::*;
use crate::domain::imported::ABSENT;

#[test]
fn what_the_legacy_owns_is_changed_there() {
    for command in [
        Command::Register(registration()),
        Command::ChangeContact(contact("x@y.fr")),
        Command::ChangeAddress(address("x")),
        close(),
    ] {
        given::<CustomerDecider>([imported()]).when(command).refuses(&Refusal::OwnedByLegacy);
    }
}

#[test]
fn the_legacy_has_no_say_over_what_bascule_owns() {
    given::<CustomerDecider>([registered()])
        .when(present(json!({})))
        .refuses(&Refusal::OwnedByBascule);
    given::<CustomerDecider>([registered()]).when(absent("gone")).refuses(&Refusal::OwnedByBascule);
    given::<CustomerDecider>([registered(), closed()])
        .when(present(json!({})))
        .refuses(&Refusal::OwnedByBascule);
}

#[test]
fn a_legacy_customer_is_imported_as_it_is() {
    given::<CustomerDecider>([])
        .when(present(json!({
            "kind": "company", "status": "open", "closed_reason": null, "number": "C7",
            "name": "Comptoir du Bocage", "email": null, "phone": "02 03",
            "address": {"line1": "2 rue\nHaute"}, "flags": ["email_missing"],
        })))
        .then([imported()]);
}

#[test]
fn a_field_that_is_absent_stays_and_null_clears() {
    let revision = revision([imported()], present(json!({"phone": null, "number": "C8"})));
    let expected =
        ImportedCustomer { phone: None, number: Some("C8".to_owned()), ..imported_state() };
    assert_eq!(revision.state, expected);
    let mut changed = revision.changed;
    changed.sort();
    assert_eq!(changed, ["number", "phone"]);
}

#[test]
fn the_same_state_twice_records_nothing() {
    given::<CustomerDecider>([imported()])
        .when(present(json!({"kind": "company", "flags": ["email_missing"]})))
        .changes_nothing();
}

#[test]
fn absent_and_never_seen_is_nothing() {
    given::<CustomerDecider>([]).when(absent("not in category Clients")).changes_nothing();
}

#[test]
fn a_customer_gone_from_the_legacy_is_closed_once_and_reopens_when_it_is_back() {
    let gone = revision([imported()], absent("deleted"));
    assert_eq!(gone.state.status, CustomerStatus::Closed);
    assert_eq!(gone.state.closed_reason, Some("deleted".to_owned().into()));
    assert_eq!(gone.state.name, imported_state().name);
    assert_eq!(gone.state.flags, ["email_missing", ABSENT]);

    let gone = || revised(gone.state.clone(), &["status"]);
    given::<CustomerDecider>([imported(), gone()]).when(absent("deleted")).changes_nothing();

    let back = revision([imported(), gone()], present(json!({"number": "C7"})));
    assert_eq!(back.state, imported_state());

    // Reported again, but as closed: the reason for the absence no longer applies.
    let back = revision([imported(), gone()], present(json!({"status": "closed"})));
    assert_eq!(back.state.status, CustomerStatus::Closed);
    assert_eq!(back.state.closed_reason, None);
}
