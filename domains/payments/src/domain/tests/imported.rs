//! What a legacy system has.

use kernel::sync::{LegacyState, Patch};
use payments_contract::ImportedPaymentStatus;

use super::*;

fn legacy() -> LegacyReference {
    LegacyReference { source: "tryton".to_owned(), id: "account_move_line/7".to_owned() }
}

fn patch() -> LegacyPatch {
    LegacyPatch {
        status: Some(ImportedPaymentStatus::Captured),
        invoice_id: Patch::Set(INVOICE.as_uuid()),
        customer_id: Patch::Set(CUSTOMER.as_uuid()),
        date: Patch::Set("2026-02-01".parse().unwrap()),
        amount: Some("50.00".parse().unwrap()),
        currency: Some("EUR".to_owned()),
        reconciled: Patch::Set(false),
        flags: Patch::Keep,
    }
}

fn report(state: LegacyState<LegacyPatch>) -> Command {
    Command::Sync(Box::new(LegacyReport { id: ID.as_uuid(), legacy: legacy(), state }))
}

fn sync(patch: LegacyPatch) -> Command {
    report(LegacyState::Present(patch))
}

fn gone() -> Command {
    report(LegacyState::Absent { reason: "deleted".to_owned() })
}

fn state() -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Captured,
        cancelled_reason: None,
        invoice_id: Some(INVOICE.as_uuid()),
        customer_id: Some(CUSTOMER.as_uuid()),
        date: Some("2026-02-01".parse().unwrap()),
        amount: "50.00".parse().unwrap(),
        currency: "EUR".to_owned(),
        reconciled: Some(false),
        flags: vec![],
    }
}

fn imported() -> Event {
    PaymentImported { payment_id: ID, legacy: legacy(), state: state() }.into()
}

fn revised(state: ImportedPayment, changed: &[&str]) -> Event {
    let changed = changed.iter().map(|&name| name.to_owned()).collect();
    PaymentRevised { payment_id: ID, legacy: legacy(), state, changed }.into()
}

fn taken_back() -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Cancelled,
        cancelled_reason: Some("deleted".to_owned().into()),
        ..state()
    }
}

#[test]
fn a_legacy_payment_is_imported_then_revised_and_repetitions_change_nothing() {
    given::<PaymentDecider>([]).when(sync(patch())).then([imported()]);
    given::<PaymentDecider>([imported()]).when(sync(patch())).changes_nothing();
    let reconciled = LegacyPatch { reconciled: Patch::Set(true), ..patch() };
    let after = ImportedPayment { reconciled: Some(true), ..state() };
    given::<PaymentDecider>([imported()])
        .when(sync(reconciled))
        .then([revised(after, &["reconciled"])]);
}

#[test]
fn a_field_the_legacy_does_not_speak_of_is_kept_and_one_it_clears_goes() {
    given::<PaymentDecider>([imported()]).when(sync(LegacyPatch::default())).changes_nothing();
    let cleared = LegacyPatch { invoice_id: Patch::Clear, ..LegacyPatch::default() };
    let after = ImportedPayment { invoice_id: None, ..state() };
    given::<PaymentDecider>([imported()])
        .when(sync(cleared))
        .then([revised(after, &["invoice_id"])]);
}

#[test]
fn the_first_word_needs_an_amount_in_a_currency() {
    given::<PaymentDecider>([])
        .when(sync(LegacyPatch { amount: None, ..patch() }))
        .refuses(&Refusal::Incomplete("amount"));
    given::<PaymentDecider>([])
        .when(sync(LegacyPatch { currency: None, ..patch() }))
        .refuses(&Refusal::Incomplete("currency"));
}

#[test]
fn one_that_disappears_there_is_cancelled_and_one_that_returns_is_reinstated() {
    given::<PaymentDecider>([]).when(gone()).changes_nothing();
    let back = revised(taken_back(), &["cancelled_reason", "status"]);
    let changed = |events: Vec<Event>, command| {
        let events = given::<PaymentDecider>(events).when(command).outcome().unwrap();
        let [Event::Revised(revised)] = &events[..] else { panic!("{events:?}") };
        (revised.state.clone(), {
            let mut changed = revised.changed.clone();
            changed.sort();
            changed
        })
    };
    let both = vec!["cancelled_reason".to_owned(), "status".to_owned()];
    assert_eq!(changed(vec![imported()], gone()), (taken_back(), both.clone()));
    given::<PaymentDecider>([imported(), back.clone()]).when(gone()).changes_nothing();
    let returns = sync(LegacyPatch { status: None, ..patch() });
    assert_eq!(changed(vec![imported(), back], returns), (state(), both));
}

#[test]
fn the_legacy_decides_over_its_payments_and_only_over_its() {
    for command in [
        Command::Cancel,
        refund(),
        Command::Withdraw,
        record_capture("ch_1"),
        record_decline(),
        Command::Expire,
        record_refund(),
        Command::Request(the_request()),
    ] {
        given::<PaymentDecider>([imported()]).when(command).refuses(&Refusal::OwnedByLegacy);
    }
    for command in [sync(patch()), gone()] {
        given::<PaymentDecider>([requested()]).when(command).refuses(&Refusal::OwnedByBascule);
    }
}
