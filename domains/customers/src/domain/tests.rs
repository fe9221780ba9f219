//! The customer's decisions: given what happened, when something is asked, then this.

use chrono::DateTime;
use customers_contract::CustomerStatus;
use kernel::sync::LegacyState;
use serde_json::json;

use super::imported::{ABSENT, LegacyCustomer};
use super::*;

const ADA: CustomerId = CustomerId::from_u128(0xada);

struct Given(Vec<Event>);

fn given<const N: usize>(events: [Event; N]) -> Given {
    Given(events.into())
}

impl Given {
    #[track_caller]
    fn when(self, command: Command) -> When {
        let customer = self.0.iter().fold(Customer::default(), CustomerDecider::evolve);
        let context = Context { now: DateTime::UNIX_EPOCH };
        When(CustomerDecider::decide(&customer, command, &context))
    }
}

struct When(Result<Vec<Event>, Refusal>);

impl When {
    /// `Debug` hides personal data, so events are compared as JSON.
    #[track_caller]
    fn then<const N: usize>(self, expected: [Event; N]) {
        use kernel::codec::EventSet as _;
        let json = |events: Vec<Event>| -> Vec<_> {
            events.iter().map(|event| (event.event_type(), event.to_json().unwrap())).collect()
        };
        assert_eq!(json(self.0.expect("a refusal")), json(expected.into()));
    }

    #[track_caller]
    fn then_refused(self, expected: Refusal) {
        assert_eq!(self.0.expect_err("no refusal"), expected);
    }

    #[track_caller]
    fn revised(self) -> CustomerRevised {
        match self.0.expect("a refusal").as_slice() {
            [Event::Revised(revised)] => revised.clone(),
            other => panic!("expected one revision, found {other:?}"),
        }
    }
}

fn registration() -> Registration {
    Registration {
        customer_id: ADA,
        kind: CustomerKind::Person,
        name: "Ada Martin".to_owned().into(),
        email: "ada@exemple.fr".to_owned().into(),
        phone: Some("+33 1 02 03 04 05".to_owned().into()),
        address: address("1 rue de la Paix"),
        vat_number: None,
    }
}

fn address(line1: &str) -> Personal<Address> {
    Personal::Known(Address { line1: line1.to_owned(), ..Address::default() })
}

fn registered() -> Event {
    let Registration { customer_id, kind, name, email, phone, address, vat_number } =
        registration();
    CustomerRegistered { customer_id, kind, name, email, phone, address, vat_number }.into()
}

fn closed() -> Event {
    CustomerClosed { customer_id: ADA, reason: "moved away".to_owned().into() }.into()
}

fn close() -> Command {
    Command::Close { reason: "moved away".to_owned().into() }
}

fn contact(email: &str) -> ContactChange {
    ContactChange { name: None, email: email.to_owned().into(), phone: Patch::Keep }
}

fn erased(legacy: Option<LegacyReference>) -> Event {
    CustomerErased { customer_id: ADA, erased_at: DateTime::UNIX_EPOCH, legacy }.into()
}

fn legacy() -> LegacyReference {
    LegacyReference { source: "tryton".to_owned(), id: "party_party/7".to_owned() }
}

fn report(state: LegacyState<LegacyCustomer>) -> Command {
    Command::Sync(Box::new(LegacyReport { id: ADA.into(), legacy: legacy(), state }))
}

fn present(state: serde_json::Value) -> Command {
    let state: LegacyCustomer = serde_json::from_value(state).unwrap();
    report(LegacyState::Present(state))
}

fn absent(reason: &str) -> Command {
    report(LegacyState::Absent { reason: reason.to_owned() })
}

fn imported_state() -> ImportedCustomer {
    ImportedCustomer {
        kind: CustomerKind::Company,
        status: CustomerStatus::Open,
        closed_reason: None,
        number: Some("C7".to_owned()),
        name: Some("Comptoir du Bocage".to_owned().into()),
        email: None,
        phone: Some("02 03".to_owned().into()),
        address: Some(address("2 rue\nHaute")),
        vat_number: None,
        since: None,
        flags: vec!["email_missing".to_owned()],
    }
}

fn imported() -> Event {
    CustomerImported { customer_id: ADA, legacy: legacy(), state: imported_state() }.into()
}

fn revised(state: ImportedCustomer, changed: &[&str]) -> Event {
    let changed = changed.iter().map(ToString::to_string).collect();
    CustomerRevised { customer_id: ADA, legacy: legacy(), state, changed }.into()
}

#[test]
fn a_new_customer_is_registered() {
    given([]).when(Command::Register(registration())).then([registered()]);
}

#[test]
fn an_id_is_registered_once() {
    let again = || Command::Register(registration());
    given([registered()]).when(again()).then_refused(Refusal::AlreadyRegistered);
    given([registered(), closed()]).when(again()).then_refused(Refusal::AlreadyRegistered);
}

#[test]
fn a_contact_change_records_the_whole_contact() {
    given([registered()]).when(Command::ChangeContact(contact("ada@new.example"))).then([
        CustomerContactChanged {
            customer_id: ADA,
            name: "Ada Martin".to_owned().into(),
            email: "ada@new.example".to_owned().into(),
            phone: Some("+33 1 02 03 04 05".to_owned().into()),
        }
        .into(),
    ]);
}

#[test]
fn a_telephone_number_can_be_taken_away() {
    let change = ContactChange {
        name: Some("Ada Lovelace".to_owned().into()),
        phone: Patch::Clear,
        ..contact("ada@exemple.fr")
    };
    given([registered()]).when(Command::ChangeContact(change)).then([CustomerContactChanged {
        customer_id: ADA,
        name: "Ada Lovelace".to_owned().into(),
        email: "ada@exemple.fr".to_owned().into(),
        phone: None,
    }
    .into()]);
}

#[test]
fn what_is_already_so_is_not_recorded_again() {
    given([registered()]).when(Command::ChangeContact(contact("ada@exemple.fr"))).then([]);
    given([registered()]).when(Command::ChangeAddress(address("1 rue de la Paix"))).then([]);
    given([registered(), closed()]).when(close()).then([]);
}

#[test]
fn a_customer_moves() {
    given([registered()]).when(Command::ChangeAddress(address("2 rue Basse"))).then([
        CustomerAddressChanged { customer_id: ADA, address: address("2 rue Basse") }.into(),
    ]);
}

#[test]
fn a_customer_is_closed() {
    given([registered()]).when(close()).then([closed()]);
}

#[test]
fn a_closed_customer_does_not_change() {
    let given_closed = || given([registered(), closed()]);
    let refusal = Refusal::CustomerClosed;
    given_closed().when(Command::ChangeContact(contact("x@y.fr"))).then_refused(refusal.clone());
    given_closed().when(Command::ChangeAddress(address("x"))).then_refused(refusal);
}

#[test]
fn nothing_can_be_asked_of_nobody() {
    let refusal = Refusal::NoSuchCustomer;
    given([]).when(Command::ChangeContact(contact("x@y.fr"))).then_refused(refusal.clone());
    given([]).when(Command::ChangeAddress(address("x"))).then_refused(refusal.clone());
    given([]).when(close()).then_refused(refusal);
}

#[test]
fn what_the_legacy_owns_is_changed_there() {
    for command in [
        Command::Register(registration()),
        Command::ChangeContact(contact("x@y.fr")),
        Command::ChangeAddress(address("x")),
        close(),
    ] {
        given([imported()]).when(command).then_refused(Refusal::OwnedByLegacy);
    }
}

#[test]
fn the_legacy_has_no_say_over_what_bascule_owns() {
    given([registered()]).when(present(json!({}))).then_refused(Refusal::OwnedByBascule);
    given([registered()]).when(absent("gone")).then_refused(Refusal::OwnedByBascule);
    given([registered(), closed()]).when(present(json!({}))).then_refused(Refusal::OwnedByBascule);
}

#[test]
fn a_legacy_customer_is_imported_as_it_is() {
    given([])
        .when(present(json!({
            "kind": "company", "status": "open", "closed_reason": null, "number": "C7",
            "name": "Comptoir du Bocage", "email": null, "phone": "02 03",
            "address": {"line1": "2 rue\nHaute"}, "flags": ["email_missing"],
        })))
        .then([imported()]);
}

#[test]
fn a_field_that_is_absent_stays_and_null_clears() {
    let revision = given([imported()]).when(present(json!({"phone": null, "number": "C8"})));
    let expected =
        ImportedCustomer { phone: None, number: Some("C8".to_owned()), ..imported_state() };
    let revision = revision.revised();
    assert_eq!(revision.state, expected);
    let mut changed = revision.changed;
    changed.sort();
    assert_eq!(changed, ["number", "phone"]);
}

#[test]
fn the_same_state_twice_records_nothing() {
    given([imported()])
        .when(present(json!({"kind": "company", "flags": ["email_missing"]})))
        .then([]);
}

#[test]
fn absent_and_never_seen_is_nothing() {
    given([]).when(absent("not in category Clients")).then([]);
}

#[test]
fn a_customer_gone_from_the_legacy_is_closed_once_and_reopens_when_it_is_back() {
    let gone = given([imported()]).when(absent("deleted")).revised();
    assert_eq!(gone.state.status, CustomerStatus::Closed);
    assert_eq!(gone.state.closed_reason, Some("deleted".to_owned().into()));
    assert_eq!(gone.state.name, imported_state().name);
    assert_eq!(gone.state.flags, ["email_missing", ABSENT]);

    let gone = || revised(gone.state.clone(), &["status"]);
    given([imported(), gone()]).when(absent("deleted")).then([]);

    let back = given([imported(), gone()]).when(present(json!({"number": "C7"}))).revised();
    assert_eq!(back.state, imported_state());

    // Back, but closed there for a reason of its own, which is not that it had been gone.
    let back = given([imported(), gone()]).when(present(json!({"status": "closed"}))).revised();
    assert_eq!(back.state.status, CustomerStatus::Closed);
    assert_eq!(back.state.closed_reason, None);
}

#[test]
fn anybody_who_is_known_can_be_erased_once() {
    given([registered()]).when(Command::Erase).then([erased(None)]);
    given([registered(), closed()]).when(Command::Erase).then([erased(None)]);
    given([imported()]).when(Command::Erase).then([erased(Some(legacy()))]);
    given([registered(), erased(None)]).when(Command::Erase).then([]);
    given([]).when(Command::Erase).then_refused(Refusal::NoSuchCustomer);
}

#[test]
fn nothing_is_recorded_of_an_erased_customer() {
    for command in [
        Command::Register(registration()),
        Command::ChangeContact(contact("x@y.fr")),
        Command::ChangeAddress(address("x")),
        close(),
        present(json!({"name": "Ada Martin"})),
        absent("gone"),
    ] {
        given([registered(), erased(None)])
            .when(command.clone())
            .then_refused(Refusal::CustomerErased);
        given([imported(), erased(Some(legacy()))])
            .when(command)
            .then_refused(Refusal::CustomerErased);
    }
}

#[test]
fn only_an_open_customer_registered_here_has_an_address_to_itself() {
    let state = |events: &[Event]| events.iter().fold(Customer::default(), CustomerDecider::evolve);
    assert_eq!(state(&[registered()]).exclusive_email(), Some("ada@exemple.fr"));
    assert_eq!(state(&[registered(), closed()]).exclusive_email(), None);
    assert_eq!(state(&[registered(), erased(None)]).exclusive_email(), None);
    let mut with_email = imported_state();
    with_email.email = Some("shared@exemple.fr".to_owned().into());
    assert_eq!(state(&[imported(), revised(with_email, &["email"])]).exclusive_email(), None);
}

/// A snapshot is read by other releases, too. Whatever changes here needs another version of the
/// schema: raise it in [`CustomerDecider::snapshots`].
#[test]
fn snapshots_keep_their_form_within_a_version() {
    let rule = CustomerDecider::snapshots().unwrap();
    assert_eq!(rule.version, 1);
    let address = json!({ "$personal": {
        "line1": "1 rue de la Paix",
        "line2": "bât. B",
        "postal_code": "75002",
        "city": "Paris",
        "country": "FR",
    } });
    let account = json!({
        "customer_id": ADA,
        "name": { "$personal": "Ada Martin" },
        "email": { "$personal": "ada@exemple.fr" },
        "phone": { "$erased": true },
        "address": address,
    });
    let imported = json!({
        "customer_id": ADA,
        "legacy": { "source": "tryton", "id": "17" },
        "state": {
            "kind": "company",
            "status": "closed",
            "closed_reason": { "$personal": "déménagée" },
            "number": "C17",
            "name": { "$personal": "Ada Martin" },
            "email": { "$personal": "ada@exemple.fr" },
            "phone": { "$personal": "+33 1 23 45 67 89" },
            "address": address,
            "vat_number": { "$personal": "FR32123456789" },
            "flags": ["email_missing"],
        },
    });
    for state in [
        json!("Unknown"),
        json!({ "Open": account }),
        json!({ "Closed": account }),
        json!({ "Imported": imported }),
        json!("Erased"),
    ] {
        let customer = (rule.from_json)(state.clone()).unwrap();
        assert_eq!((rule.to_json)(&customer).unwrap(), state);
    }
}
