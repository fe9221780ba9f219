//! Money that comes and goes.

use super::*;

#[test]
fn the_whole_sum_settles_an_invoice() {
    given(&[issued()]).when(pay(PAYMENT, "121.32", "EUR")).then(&[paid()]);
}

#[test]
fn another_sum_or_currency_does_not() {
    for (amount, currency) in [("121.31", "EUR"), ("121.33", "EUR"), ("121.32", "USD")] {
        let (expected, found) = ("121.32 EUR".to_owned(), format!("{amount} {currency}"));
        given(&[issued()])
            .when(pay(PAYMENT, amount, currency))
            .then_refused(Refusal::AmountDiffers { expected, found });
    }
}

#[test]
fn a_payment_told_twice_settles_once_and_a_second_payment_is_refused() {
    given(&[issued(), paid()]).when(pay(PAYMENT, "121.32", "EUR")).then(&[]);
    given(&[issued(), paid()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .then_refused(Refusal::PaidByAnother);
}

#[test]
fn what_is_no_open_invoice_is_not_paid() {
    let pay = || pay(PAYMENT, "121.32", "EUR");
    given(&[]).when(pay()).then_refused(Refusal::NoSuchInvoice);
    given(&[credited()]).when(pay()).then_refused(Refusal::IsCreditNote);
}

#[test]
fn money_that_crosses_a_voiding_is_owed_until_it_went_back() {
    let voided = || voided(VoidReason::OrderCancelled);
    for pay in [pay(PAYMENT, "121.32", "EUR"), pay_late(PAYMENT, "121.32")] {
        given(&[issued(), voided()]).when(pay.clone()).then(&[paid()]);
        given(&[issued(), voided(), paid()]).when(pay).then(&[]);
    }
    given(&[issued(), voided(), paid()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .then_refused(Refusal::AlreadyVoided);
    given(&[issued(), voided(), paid()]).when(give_back(PAYMENT, "121.32")).then(&[refunded()]);
    let invoice = given(&[issued(), voided(), paid()]).0;
    assert_eq!(invoice.account().map(Account::open), Some(decimal("-121.32")));
}

#[test]
fn money_that_came_after_its_payment_was_over_does_not_pay_an_invoice_that_stands() {
    given(&[issued()]).when(pay_late(PAYMENT, "121.32")).then(&[]);
    given(&[issued(), paid()]).when(pay_late(OTHER_PAYMENT, "121.32")).then(&[]);
}

#[test]
fn money_goes_back_whether_the_invoice_stands_or_not() {
    given(&[issued(), paid()]).when(give_back(PAYMENT, "121.32")).then(&[refunded()]);
    given(&[issued(), paid(), voided(VoidReason::OrderCancelled)])
        .when(give_back(PAYMENT, "121.32"))
        .then(&[refunded()]);
}

#[test]
fn money_goes_back_once() {
    given(&[issued(), paid(), refunded()]).when(give_back(PAYMENT, "121.32")).then(&[]);
    given(&[issued(), paid(), voided(VoidReason::OrderCancelled), refunded()])
        .when(give_back(PAYMENT, "121.32"))
        .then(&[]);
}

#[test]
fn money_that_came_too_late_to_be_recorded_goes_back_unrecorded() {
    given(&[issued(), voided(VoidReason::PaymentExpired)])
        .when(give_back(PAYMENT, "121.32"))
        .then(&[]);
}

#[test]
fn only_the_money_that_came_goes_back() {
    given(&[issued()]).when(give_back(PAYMENT, "121.32")).then_refused(Refusal::NotPaid);
    given(&[issued(), paid()])
        .when(give_back(OTHER_PAYMENT, "121.32"))
        .then_refused(Refusal::PaidByAnother);
    let (expected, found) = ("121.32 EUR".to_owned(), "200 EUR".to_owned());
    given(&[issued(), paid()])
        .when(give_back(PAYMENT, "200"))
        .then_refused(Refusal::AmountDiffers { expected, found });
    given(&[]).when(give_back(PAYMENT, "1")).then_refused(Refusal::NoSuchInvoice);
}

#[test]
fn a_credit_note_settles_when_its_money_went_back() {
    let note = CreditNoteIssued { to_refund: Some(decimal("121.32")), ..the_credit_note() };
    let settle =
        || Command::Settle(SettleNote { credit_note_id: CREDIT_NOTE, payment_id: PAYMENT });
    let settled: Event = CreditNoteSettled { invoice_id: CREDIT_NOTE, payment_id: PAYMENT }.into();
    given(&[note.clone().into()]).when(settle()).then(std::slice::from_ref(&settled));
    given(&[note.into(), settled]).when(settle()).then(&[]);
    // Nothing had to go back: it was settled with its issue.
    given(&[credited()]).when(settle()).then(&[]);
    given(&[issued()]).when(settle()).then_refused(Refusal::NoSuchInvoice);
}
