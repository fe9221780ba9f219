//! Refunds, one after the other.

use super::*;

pub(super) fn proposed(scope: RefundScope) -> Event {
    RefundProposed {
        payment_id: ID,
        refund_id: REFUND,
        invoice_id: INVOICE.as_uuid(),
        customer_id: CUSTOMER.as_uuid(),
        scope,
        reason: "broken".to_owned().into(),
    }
    .into()
}

fn propose(refund_id: RefundId, scope: RefundScope) -> Command {
    Command::ProposeRefund { refund_id, scope, reason: "broken".to_owned().into() }
}

fn amount(text: &str) -> RefundScope {
    RefundScope::Amount { amount: text.parse().unwrap() }
}

fn give_back(refund_id: RefundId, amount: &str) -> Command {
    let amount = amount.parse().unwrap();
    Command::GiveBack { refund_id, amount, credit_note_id: Some(CREDIT_NOTE) }
}

fn going_back(refund_id: RefundId, amount: &str, reason: RefundReason) -> Event {
    RefundRequested {
        payment_id: ID,
        refund_id,
        invoice_id: INVOICE.as_uuid(),
        customer_id: CUSTOMER.as_uuid(),
        amount: amount.parse().unwrap(),
        currency: "EUR".to_owned(),
        reason,
        credit_note_id: Some(CREDIT_NOTE.as_uuid()),
    }
    .into()
}

fn asked() -> RefundReason {
    RefundReason::InvoiceCredited
}

fn exceeds(left: &str) -> Refusal {
    Refusal::ExceedsPayment { left: left.parse().unwrap(), currency: "EUR".to_owned() }
}

#[test]
fn money_is_proposed_to_go_back_until_nothing_is_left() {
    let captured = [requested(), captured()];
    given::<PaymentDecider>(captured.clone())
        .when(propose(REFUND, amount("20")))
        .then([proposed(amount("20.00"))]);
    given::<PaymentDecider>(captured.clone())
        .when(propose(REFUND, amount("119.77")))
        .refuses(&exceeds("119.76"));
    let partly = captured
        .into_iter()
        .chain([proposed(amount("20.00")), going_back(REFUND, "20.00", asked())]);
    let partly: Vec<Event> = partly.collect();
    given::<PaymentDecider>(partly.clone())
        .when(propose(OTHER_REFUND, amount("99.77")))
        .refuses(&exceeds("99.76"));
    let rest =
        given::<PaymentDecider>(partly.clone()).when(propose(OTHER_REFUND, RefundScope::Rest));
    assert_eq!(rest.outcome().unwrap().len(), 1);
    let all = partly.into_iter().chain([going_back(OTHER_REFUND, "99.76", asked())]);
    given::<PaymentDecider>(all)
        .when(propose(OTHER_REFUND, RefundScope::Rest))
        .refuses(&exceeds("0.00"));
}

#[test]
fn while_the_rest_is_proposed_nothing_is_left() {
    given::<PaymentDecider>([requested(), captured(), proposed(RefundScope::Rest)])
        .when(propose(OTHER_REFUND, amount("1")))
        .refuses(&exceeds("0.00"));
    let refused = RefundRefused { payment_id: ID, refund_id: REFUND, code: "not_paid".to_owned() };
    let again = given::<PaymentDecider>([
        requested(),
        captured(),
        proposed(RefundScope::Rest),
        refused.into(),
    ])
    .when(propose(OTHER_REFUND, amount("1")));
    assert_eq!(again.outcome().unwrap().len(), 1);
}

#[test]
fn an_amount_is_in_minor_units() {
    let too_precise = Refusal::TooPrecise { currency: "EUR".to_owned(), decimals: 2 };
    given::<PaymentDecider>([requested(), captured()])
        .when(propose(REFUND, amount("1.001")))
        .refuses(&too_precise);
}

#[test]
fn billing_says_what_lines_come_to() {
    let lines = vec![RefundLine { line: 1, quantity: 1.into() }];
    let story = [requested(), captured(), proposed(RefundScope::Lines { lines })];
    given::<PaymentDecider>(story.clone()).when(give_back(REFUND, "59.88")).then([going_back(
        REFUND,
        "59.88",
        asked(),
    )]);
    let told = story.into_iter().chain([going_back(REFUND, "59.88", asked())]);
    given::<PaymentDecider>(told).when(give_back(REFUND, "59.88")).changes_nothing();
}

#[test]
fn what_is_credited_goes_back_without_a_proposal_and_no_more_than_is_here() {
    let reason = RefundReason::InvoiceCredited;
    given::<PaymentDecider>([requested(), captured()])
        .when(give_back(REFUND, "59.88"))
        .then([going_back(REFUND, "59.88", reason.clone())]);
    given::<PaymentDecider>([requested(), captured(), going_back(OTHER_REFUND, "100.00", asked())])
        .when(give_back(REFUND, "59.88"))
        .then([going_back(REFUND, "19.76", reason)]);
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided())])
        .when(give_back(REFUND, "59.88"))
        .changes_nothing();
}

#[test]
fn a_proposal_of_money_that_goes_back_otherwise_does_not_wait_for_ever() {
    let code = "nothing_left".to_owned();
    given::<PaymentDecider>([
        requested(),
        captured(),
        proposed(RefundScope::Rest),
        refund_requested(voided()),
    ])
    .when(give_back(REFUND, "119.76"))
    .then([RefundRefused { payment_id: ID, refund_id: REFUND, code }.into()]);
}

#[test]
fn of_a_void_invoice_the_rest_goes_back() {
    let story = [requested(), captured(), going_back(REFUND, "20.00", asked())];
    let events = given::<PaymentDecider>(story).when(Command::Withdraw).outcome().unwrap();
    let [Event::RefundRequested(rest)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(rest.amount.to_string(), "99.76");
    assert_ne!(rest.refund_id, REFUND);
}

#[test]
fn a_refund_that_failed_is_still_owed_and_tried_again() {
    let failure = || Command::RecordRefundFailure { refund_id: REFUND, code: "closed".to_owned() };
    let failed: Event =
        RefundFailed { payment_id: ID, refund_id: REFUND, code: "closed".to_owned() }.into();
    let story = [requested(), captured(), going_back(REFUND, "20.00", asked())];
    given::<PaymentDecider>(story.clone()).when(failure()).then([failed.clone()]);
    let story: Vec<Event> = story.into_iter().chain([failed]).collect();
    given::<PaymentDecider>(story.clone()).when(failure()).changes_nothing();
    given::<PaymentDecider>(story.clone())
        .when(propose(OTHER_REFUND, amount("99.77")))
        .refuses(&exceeds("99.76"));
    let (amount, currency) = ("20.00".parse().unwrap(), "EUR".to_owned());
    let retried: Event =
        RefundRetried { payment_id: ID, refund_id: REFUND, amount, currency }.into();
    let retry = || Command::RetryRefund { refund_id: REFUND };
    given::<PaymentDecider>(story.clone()).when(retry()).then([retried.clone()]);
    given::<PaymentDecider>(story.into_iter().chain([retried])).when(retry()).changes_nothing();
    given::<PaymentDecider>([requested(), captured()])
        .when(retry())
        .refuses(&Refusal::NoRefundRequested);
}

#[test]
fn a_refund_without_a_credit_note_is_not_tried_again() {
    let refused = RefundRefused { payment_id: ID, refund_id: REFUND, code: "not_paid".to_owned() };
    given::<PaymentDecider>([requested(), captured(), proposed(RefundScope::Rest), refused.into()])
        .when(Command::RetryRefund { refund_id: REFUND })
        .refuses(&Refusal::RefundRefused);
}

#[test]
fn what_nothing_is_due_of_any_more_collects_nothing() {
    given::<PaymentDecider>([requested()]).when(Command::CallOff).then([cancelled()]);
    for over in [captured(), declined(), expired(), cancelled()] {
        given::<PaymentDecider>([requested(), over]).when(Command::CallOff).changes_nothing();
    }
}
