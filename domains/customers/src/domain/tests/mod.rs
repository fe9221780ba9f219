//! Decisions on a customer: given its events, when a command is given, then these events follow.

mod erasing;
mod imported;

use customers_contract::CustomerStatus;
use kernel::sync::LegacyState;
use serde_json::json;
use testkit::given;

use super::imported::LegacyCustomer;
use super::*;

const ADA: CustomerId = CustomerId::from_u128(0xada);
const ERASED_AT: &str = "2026-03-02T09:30:00Z";

/// Returns the revision of a command, its only event.
#[track_caller]
fn revision(history: impl IntoIterator<Item = Event>, command: Command) -> CustomerRevised {
    match given::<CustomerDecider>(history).when(command).event() {
        Event::Revised(revised) => revised,
        other => panic!("expected a revision, got {other:?}"),
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
    CustomerErased { customer_id: ADA, erased_at: ERASED_AT.parse().unwrap(), legacy }.into()
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
    given::<CustomerDecider>([]).when(Command::Register(registration())).then([registered()]);
}

#[test]
fn an_id_is_registered_once() {
    let again = || Command::Register(registration());
    given::<CustomerDecider>([registered()]).when(again()).refuses(&Refusal::AlreadyRegistered);
    given::<CustomerDecider>([registered(), closed()])
        .when(again())
        .refuses(&Refusal::AlreadyRegistered);
}

#[test]
fn a_contact_change_records_the_whole_contact() {
    given::<CustomerDecider>([registered()])
        .when(Command::ChangeContact(contact("ada@new.example")))
        .then([CustomerContactChanged {
            customer_id: ADA,
            name: "Ada Martin".to_owned().into(),
            email: "ada@new.example".to_owned().into(),
            phone: Some("+33 1 02 03 04 05".to_owned().into()),
        }
        .into()]);
}

#[test]
fn a_telephone_number_can_be_taken_away() {
    let change = ContactChange {
        name: Some("Ada Lovelace".to_owned().into()),
        phone: Patch::Clear,
        ..contact("ada@exemple.fr")
    };
    given::<CustomerDecider>([registered()]).when(Command::ChangeContact(change)).then([
        CustomerContactChanged {
            customer_id: ADA,
            name: "Ada Lovelace".to_owned().into(),
            email: "ada@exemple.fr".to_owned().into(),
            phone: None,
        }
        .into(),
    ]);
}

#[test]
fn what_is_already_so_is_not_recorded_again() {
    given::<CustomerDecider>([registered()])
        .when(Command::ChangeContact(contact("ada@exemple.fr")))
        .changes_nothing();
    given::<CustomerDecider>([registered()])
        .when(Command::ChangeAddress(address("1 rue de la Paix")))
        .changes_nothing();
    given::<CustomerDecider>([registered(), closed()]).when(close()).changes_nothing();
}

#[test]
fn a_customer_moves() {
    given::<CustomerDecider>([registered()])
        .when(Command::ChangeAddress(address("2 rue Basse")))
        .then(
            [CustomerAddressChanged { customer_id: ADA, address: address("2 rue Basse") }.into()],
        );
}

#[test]
fn a_customer_is_closed() {
    given::<CustomerDecider>([registered()]).when(close()).then([closed()]);
}

#[test]
fn a_closed_customer_does_not_change() {
    let given_closed = || given::<CustomerDecider>([registered(), closed()]);
    let refusal = Refusal::CustomerClosed;
    given_closed().when(Command::ChangeContact(contact("x@y.fr"))).refuses(&refusal);
    given_closed().when(Command::ChangeAddress(address("x"))).refuses(&refusal);
}

#[test]
fn nothing_can_be_asked_of_nobody() {
    let refusal = Refusal::NoSuchCustomer;
    given::<CustomerDecider>([]).when(Command::ChangeContact(contact("x@y.fr"))).refuses(&refusal);
    given::<CustomerDecider>([]).when(Command::ChangeAddress(address("x"))).refuses(&refusal);
    given::<CustomerDecider>([]).when(close()).refuses(&refusal);
}

#[test]
fn only_an_open_customer_registered_here_has_an_address_to_itself() {
    let email = |history: Vec<Event>| {
        let customer = given::<CustomerDecider>(history);
        customer.state().exclusive_email().map(str::to_owned)
    };
    assert_eq!(email(vec![registered()]), Some("ada@exemple.fr".to_owned()));
    assert_eq!(email(vec![registered(), closed()]), None);
    assert_eq!(email(vec![registered(), erased(None)]), None);
    let mut with_email = imported_state();
    with_email.email = Some("shared@exemple.fr".to_owned().into());
    assert_eq!(email(vec![imported(), revised(with_email, &["email"])]), None);
}

/// Other releases read the snapshots, too. A change of their form needs a new version of the schema: raise
/// it in [`CustomerDecider::snapshots`].
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
