//! From the request of a payment to its end.

use super::*;

#[test]
fn a_payment_is_requested_once() {
    given::<PaymentDecider>([]).when(Command::Request(the_request())).then([requested()]);
    given::<PaymentDecider>([requested()]).when(Command::Request(the_request())).changes_nothing();
    given::<PaymentDecider>([requested(), captured()])
        .when(Command::Request(the_request()))
        .changes_nothing();
    let other = PaymentRequested { amount: 1.into(), ..the_request() };
    given::<PaymentDecider>([requested()])
        .when(Command::Request(other))
        .refuses(&Refusal::AlreadyRequested);
}

#[test]
fn the_providers_word_decides_a_pending_payment() {
    given::<PaymentDecider>([requested()]).when(record_capture("ch_1")).then([captured()]);
    given::<PaymentDecider>([requested()]).when(record_decline()).then([declined()]);
}

#[test]
fn money_taken_before_we_gave_up_counts_even_after_the_deadline() {
    given::<PaymentDecider>([requested()])
        .at(DEADLINE)
        .when(record_capture("ch_1"))
        .then([captured()]);
}

#[test]
fn the_providers_word_may_be_heard_twice() {
    given::<PaymentDecider>([requested(), captured()])
        .when(record_capture("ch_1"))
        .changes_nothing();
    given::<PaymentDecider>([requested(), declined()]).when(record_decline()).changes_nothing();
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided())])
        .when(record_capture("ch_1"))
        .changes_nothing();
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided()), refunded()])
        .when(record_refund())
        .changes_nothing();
}

#[test]
fn the_provider_cannot_contradict_a_capture() {
    given::<PaymentDecider>([requested(), captured()])
        .when(record_capture("ch_2"))
        .refuses(&Refusal::AnotherCapture);
    given::<PaymentDecider>([requested(), captured()])
        .when(record_decline())
        .refuses(&Refusal::AlreadyCaptured);
    given::<PaymentDecider>([requested(), captured()])
        .at(DEADLINE)
        .when(Command::Expire)
        .refuses(&Refusal::AlreadyCaptured);
}

#[test]
fn a_payment_expires_at_its_deadline_and_not_before() {
    given::<PaymentDecider>([requested()])
        .when(Command::Expire)
        .refuses(&Refusal::NotDueYet { deadline: deadline() });
    given::<PaymentDecider>([requested()]).at(DEADLINE).when(Command::Expire).then([expired()]);
    given::<PaymentDecider>([requested(), expired()])
        .at(DEADLINE)
        .when(Command::Expire)
        .changes_nothing();
    given::<PaymentDecider>([requested(), cancelled()])
        .at(DEADLINE)
        .when(Command::Expire)
        .changes_nothing();
}

#[test]
fn only_a_pending_payment_is_cancelled() {
    given::<PaymentDecider>([requested()]).when(Command::Cancel).then([cancelled()]);
    given::<PaymentDecider>([requested(), cancelled()]).when(Command::Cancel).changes_nothing();
    given::<PaymentDecider>([requested(), captured()])
        .when(Command::Cancel)
        .refuses(&Refusal::AlreadyCaptured);
    given::<PaymentDecider>([requested(), declined()])
        .when(Command::Cancel)
        .refuses(&Refusal::AlreadyOver("declined"));
    given::<PaymentDecider>([requested(), expired()])
        .when(Command::Cancel)
        .refuses(&Refusal::AlreadyOver("expired"));
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided())])
        .when(Command::Cancel)
        .refuses(&Refusal::AlreadyRefunded);
}

#[test]
fn only_captured_money_goes_back() {
    given::<PaymentDecider>([requested(), captured()])
        .when(refund())
        .then([refunds::proposed(RefundScope::Rest)]);
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided())])
        .when(refund())
        .changes_nothing();
    for (events, stage) in [
        (vec![requested()], "pending"),
        (vec![requested(), declined()], "declined"),
        (vec![requested(), expired()], "expired"),
        (vec![requested(), cancelled()], "cancelled"),
    ] {
        given::<PaymentDecider>(events).when(refund()).refuses(&Refusal::NothingToRefund(stage));
    }
}

#[test]
fn a_refund_that_was_asked_for_is_recorded_when_it_is_done() {
    given::<PaymentDecider>([requested(), captured(), refund_requested(voided())])
        .when(record_refund())
        .then([refunded()]);
    given::<PaymentDecider>([requested(), captured()])
        .when(record_refund())
        .refuses(&Refusal::NoRefundRequested);
}

#[test]
fn no_money_of_a_void_invoice_stays_here() {
    given::<PaymentDecider>([requested()]).when(Command::Withdraw).then([cancelled()]);
    given::<PaymentDecider>([requested(), captured()])
        .when(Command::Withdraw)
        .then([refund_requested(voided())]);
    for events in [
        vec![requested(), declined()],
        vec![requested(), expired()],
        vec![requested(), cancelled()],
        vec![requested(), captured(), refund_requested(voided())],
        vec![requested(), captured(), refund_requested(voided()), refunded()],
    ] {
        given::<PaymentDecider>(events).when(Command::Withdraw).changes_nothing();
    }
}

#[test]
fn money_taken_of_a_payment_given_up_goes_back() {
    for given_up in [cancelled(), expired(), declined()] {
        given::<PaymentDecider>([requested(), given_up])
            .when(record_capture("ch_1"))
            .then([captured_late(), refund_requested(RefundReason::CapturedLate)]);
    }
    let late =
        [requested(), cancelled(), captured_late(), refund_requested(RefundReason::CapturedLate)];
    given::<PaymentDecider>(late.clone()).when(record_capture("ch_1")).changes_nothing();
    given::<PaymentDecider>(late).when(record_refund()).then([refunded()]);
}

#[test]
fn nothing_can_be_asked_of_a_payment_that_does_not_exist() {
    for command in [
        Command::Cancel,
        refund(),
        Command::Withdraw,
        record_capture("ch_1"),
        record_decline(),
        Command::Expire,
        record_refund(),
    ] {
        given::<PaymentDecider>([]).when(command).refuses(&Refusal::NoSuchPayment);
    }
}
