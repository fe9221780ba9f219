//! Payments and refunds.

use super::*;

#[test]
fn the_whole_sum_settles_an_invoice() {
    given::<InvoiceDecider>([issued()]).when(pay(PAYMENT, "121.32", "EUR")).then([paid()]);
}

#[test]
fn another_sum_or_currency_does_not() {
    for (amount, currency) in [("121.31", "EUR"), ("121.33", "EUR"), ("121.32", "USD")] {
        let (expected, found) = ("121.32 EUR".to_owned(), format!("{amount} {currency}"));
        given::<InvoiceDecider>([issued()])
            .when(pay(PAYMENT, amount, currency))
            .refuses(&Refusal::AmountDiffers { expected, found });
    }
}

#[test]
fn a_payment_told_twice_settles_once_and_a_second_payment_is_refused() {
    given::<InvoiceDecider>([issued(), paid()])
        .when(pay(PAYMENT, "121.32", "EUR"))
        .changes_nothing();
    given::<InvoiceDecider>([issued(), paid()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .refuses(&Refusal::PaidByAnother);
}

#[test]
fn what_is_no_open_invoice_is_not_paid() {
    let pay = || pay(PAYMENT, "121.32", "EUR");
    given::<InvoiceDecider>([]).when(pay()).refuses(&Refusal::NoSuchInvoice);
    given::<InvoiceDecider>([credited()]).when(pay()).refuses(&Refusal::IsCreditNote);
}

#[test]
fn money_that_crosses_a_voiding_is_owed_until_it_went_back() {
    let voided = || voided(VoidReason::OrderCancelled);
    for pay in [pay(PAYMENT, "121.32", "EUR"), pay_late(PAYMENT, "121.32")] {
        given::<InvoiceDecider>([issued(), voided()]).when(pay.clone()).then([paid()]);
        given::<InvoiceDecider>([issued(), voided(), paid()]).when(pay).changes_nothing();
    }
    given::<InvoiceDecider>([issued(), voided(), paid()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .refuses(&Refusal::AlreadyVoided);
    given::<InvoiceDecider>([issued(), voided(), paid()])
        .when(give_back(PAYMENT, "121.32"))
        .then([refunded()]);
    let invoice = given::<InvoiceDecider>([issued(), voided(), paid()]);
    assert_eq!(invoice.state().account().map(Account::open), Some(decimal("-121.32")));
}

#[test]
fn money_that_came_after_its_payment_was_over_does_not_pay_an_invoice_that_stands() {
    given::<InvoiceDecider>([issued()]).when(pay_late(PAYMENT, "121.32")).changes_nothing();
    given::<InvoiceDecider>([issued(), paid()])
        .when(pay_late(OTHER_PAYMENT, "121.32"))
        .changes_nothing();
}

#[test]
fn money_goes_back_whether_the_invoice_stands_or_not() {
    given::<InvoiceDecider>([issued(), paid()])
        .when(give_back(PAYMENT, "121.32"))
        .then([refunded()]);
    given::<InvoiceDecider>([issued(), paid(), voided(VoidReason::OrderCancelled)])
        .when(give_back(PAYMENT, "121.32"))
        .then([refunded()]);
}

#[test]
fn money_goes_back_once() {
    given::<InvoiceDecider>([issued(), paid(), refunded()])
        .when(give_back(PAYMENT, "121.32"))
        .changes_nothing();
    given::<InvoiceDecider>([issued(), paid(), voided(VoidReason::OrderCancelled), refunded()])
        .when(give_back(PAYMENT, "121.32"))
        .changes_nothing();
}

#[test]
fn money_that_came_too_late_to_be_recorded_goes_back_unrecorded() {
    given::<InvoiceDecider>([issued(), voided(VoidReason::PaymentExpired)])
        .when(give_back(PAYMENT, "121.32"))
        .changes_nothing();
}

#[test]
fn only_the_money_that_came_goes_back() {
    given::<InvoiceDecider>([issued()])
        .when(give_back(PAYMENT, "121.32"))
        .refuses(&Refusal::NotPaid);
    given::<InvoiceDecider>([issued(), paid()])
        .when(give_back(OTHER_PAYMENT, "121.32"))
        .refuses(&Refusal::PaidByAnother);
    let (expected, found) = ("121.32 EUR".to_owned(), "200 EUR".to_owned());
    given::<InvoiceDecider>([issued(), paid()])
        .when(give_back(PAYMENT, "200"))
        .refuses(&Refusal::AmountDiffers { expected, found });
    given::<InvoiceDecider>([]).when(give_back(PAYMENT, "1")).refuses(&Refusal::NoSuchInvoice);
}

#[test]
fn a_credit_note_settles_when_its_money_went_back() {
    let note = CreditNoteIssued { to_refund: Some(decimal("121.32")), ..the_credit_note() };
    let settle =
        || Command::Settle(SettleCreditNote { credit_note_id: CREDIT_NOTE, payment_id: PAYMENT });
    let settled: Event =
        CreditNoteSettled { invoice_id: CREDIT_NOTE, payment_id: PAYMENT.as_uuid() }.into();
    given::<InvoiceDecider>([note.clone().into()]).when(settle()).then([settled.clone()]);
    given::<InvoiceDecider>([note.into(), settled]).when(settle()).changes_nothing();
    // No refund was required: the credit note was settled when it was issued.
    given::<InvoiceDecider>([credited()]).when(settle()).changes_nothing();
    given::<InvoiceDecider>([issued()]).when(settle()).refuses(&Refusal::NoSuchInvoice);
}
