use chrono::TimeZone as _;
use kernel::codec::EventSet as _;
use payments_contract::{RefundLine, RefundReason};
use uuid::Uuid;

use super::refund::nth_refund_of;
use super::*;

mod imported;
mod refunds;

/// Events that happened, a command, and what is to come of it.
struct Given(Vec<Event>);

fn given(events: impl IntoIterator<Item = Event>) -> Given {
    Given(events.into_iter().collect())
}

impl Given {
    fn when(self, command: Command) -> When {
        self.when_at(command, before_deadline())
    }

    fn when_at(self, command: Command, now: DateTime<Utc>) -> When {
        let payment = self.0.iter().fold(Payment::default(), PaymentDecider::evolve);
        let outcome = PaymentDecider::decide(&payment, command, &Context { now });
        When { payment, outcome }
    }
}

struct When {
    payment: Payment,
    outcome: Result<Vec<Event>, Refusal>,
}

impl When {
    /// The events, compared as they are stored.
    #[track_caller]
    fn then(self, expected: impl IntoIterator<Item = Event>) {
        let stored = |events: Vec<Event>| -> Vec<_> {
            let stored = |event: &Event| (event.event_type(), event.to_json().unwrap());
            events.iter().map(stored).collect()
        };
        assert_eq!(stored(self.outcome.unwrap()), stored(expected.into_iter().collect()));
    }

    #[track_caller]
    fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    fn then_refused(self, refusal: Refusal) {
        assert_eq!(self.outcome.unwrap_err(), refusal, "of {:?}", self.payment);
    }
}

const ID: Uuid = Uuid::from_u128(1);
const INVOICE: Uuid = Uuid::from_u128(2);
const CUSTOMER: Uuid = Uuid::from_u128(3);
const REFUND: Uuid = Uuid::from_u128(4);
const OTHER_REFUND: Uuid = Uuid::from_u128(5);
const CREDIT_NOTE: Uuid = Uuid::from_u128(6);

fn deadline() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 15, 0).unwrap()
}

fn before_deadline() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap()
}

fn the_request() -> PaymentRequested {
    PaymentRequested {
        payment_id: ID,
        invoice_id: INVOICE,
        amount: "119.76".parse().unwrap(),
        currency: "EUR".to_owned(),
        method: "sandbox:ok".to_owned(),
        deadline: deadline(),
        customer_id: CUSTOMER,
    }
}

fn requested() -> Event {
    the_request().into()
}

fn captured() -> Event {
    let PaymentRequested { payment_id, invoice_id, amount, currency, .. } = the_request();
    let provider_reference = "ch_1".to_owned();
    PaymentCaptured { payment_id, invoice_id, amount, currency, provider_reference }.into()
}

fn captured_late() -> Event {
    let PaymentRequested { payment_id, invoice_id, amount, currency, .. } = the_request();
    let provider_reference = "ch_1".to_owned();
    PaymentCapturedLate { payment_id, invoice_id, amount, currency, provider_reference }.into()
}

fn declined() -> Event {
    PaymentDeclined {
        payment_id: ID,
        invoice_id: INVOICE,
        customer_id: CUSTOMER,
        reason: "no funds".to_owned().into(),
    }
    .into()
}

fn expired() -> Event {
    PaymentExpired { payment_id: ID, invoice_id: INVOICE }.into()
}

fn cancelled() -> Event {
    PaymentCancelled { payment_id: ID, invoice_id: INVOICE }.into()
}

fn refund_requested(reason: RefundReason) -> Event {
    let PaymentRequested { payment_id, invoice_id, amount, currency, customer_id, .. } =
        the_request();
    RefundRequested {
        payment_id,
        refund_id: nth_refund_of(ID, 0),
        invoice_id,
        customer_id,
        amount,
        currency,
        reason,
        credit_note_id: None,
    }
    .into()
}

fn refunded() -> Event {
    let PaymentRequested { payment_id, invoice_id, amount, currency, .. } = the_request();
    let provider_reference = "re_1".to_owned();
    let refund_id = nth_refund_of(ID, 0);
    PaymentRefunded { payment_id, refund_id, invoice_id, amount, currency, provider_reference }
        .into()
}

fn voided() -> RefundReason {
    RefundReason::InvoiceVoided
}

fn record_capture(reference: &str) -> Command {
    Command::RecordCapture { reference: reference.to_owned() }
}

fn record_decline() -> Command {
    Command::RecordDecline { reason: "no funds".to_owned().into() }
}

fn refund() -> Command {
    Command::Refund { refund_id: REFUND, reason: "broken".to_owned().into() }
}

fn record_refund() -> Command {
    Command::RecordRefund { refund_id: nth_refund_of(ID, 0), reference: "re_1".to_owned() }
}

#[test]
fn a_payment_is_requested_once() {
    given([]).when(Command::Request(the_request())).then([requested()]);
    given([requested()]).when(Command::Request(the_request())).then_nothing();
    given([requested(), captured()]).when(Command::Request(the_request())).then_nothing();
    let other = PaymentRequested { amount: 1.into(), ..the_request() };
    given([requested()]).when(Command::Request(other)).then_refused(Refusal::AlreadyRequested);
}

#[test]
fn the_providers_word_decides_a_pending_payment() {
    given([requested()]).when(record_capture("ch_1")).then([captured()]);
    given([requested()]).when(record_decline()).then([declined()]);
}

#[test]
fn money_taken_before_we_gave_up_counts_even_after_the_deadline() {
    given([requested()]).when_at(record_capture("ch_1"), deadline()).then([captured()]);
}

#[test]
fn the_providers_word_may_be_heard_twice() {
    given([requested(), captured()]).when(record_capture("ch_1")).then_nothing();
    given([requested(), declined()]).when(record_decline()).then_nothing();
    given([requested(), captured(), refund_requested(voided())])
        .when(record_capture("ch_1"))
        .then_nothing();
    given([requested(), captured(), refund_requested(voided()), refunded()])
        .when(record_refund())
        .then_nothing();
}

#[test]
fn the_provider_cannot_contradict_a_capture() {
    given([requested(), captured()])
        .when(record_capture("ch_2"))
        .then_refused(Refusal::AnotherCapture);
    given([requested(), captured()]).when(record_decline()).then_refused(Refusal::AlreadyCaptured);
    given([requested(), captured()])
        .when_at(Command::Expire, deadline())
        .then_refused(Refusal::AlreadyCaptured);
}

#[test]
fn a_payment_expires_at_its_deadline_and_not_before() {
    given([requested()])
        .when(Command::Expire)
        .then_refused(Refusal::NotDueYet { deadline: deadline() });
    given([requested()]).when_at(Command::Expire, deadline()).then([expired()]);
    given([requested(), expired()]).when_at(Command::Expire, deadline()).then_nothing();
    given([requested(), cancelled()]).when_at(Command::Expire, deadline()).then_nothing();
}

#[test]
fn only_a_pending_payment_is_cancelled() {
    given([requested()]).when(Command::Cancel).then([cancelled()]);
    given([requested(), cancelled()]).when(Command::Cancel).then_nothing();
    given([requested(), captured()]).when(Command::Cancel).then_refused(Refusal::AlreadyCaptured);
    given([requested(), declined()])
        .when(Command::Cancel)
        .then_refused(Refusal::AlreadyOver("declined"));
    given([requested(), expired()])
        .when(Command::Cancel)
        .then_refused(Refusal::AlreadyOver("expired"));
    given([requested(), captured(), refund_requested(voided())])
        .when(Command::Cancel)
        .then_refused(Refusal::AlreadyRefunded);
}

#[test]
fn only_captured_money_goes_back() {
    given([requested(), captured()]).when(refund()).then([refunds::proposed(RefundScope::Rest)]);
    given([requested(), captured(), refund_requested(voided())]).when(refund()).then_nothing();
    for (events, stage) in [
        (vec![requested()], "pending"),
        (vec![requested(), declined()], "declined"),
        (vec![requested(), expired()], "expired"),
        (vec![requested(), cancelled()], "cancelled"),
    ] {
        given(events).when(refund()).then_refused(Refusal::NothingToRefund(stage));
    }
}

#[test]
fn a_refund_that_was_asked_for_is_recorded_when_it_is_done() {
    given([requested(), captured(), refund_requested(voided())])
        .when(record_refund())
        .then([refunded()]);
    given([requested(), captured()]).when(record_refund()).then_refused(Refusal::NoRefundRequested);
}

#[test]
fn no_money_of_a_void_invoice_stays_here() {
    given([requested()]).when(Command::Withdraw).then([cancelled()]);
    given([requested(), captured()]).when(Command::Withdraw).then([refund_requested(voided())]);
    for events in [
        vec![requested(), declined()],
        vec![requested(), expired()],
        vec![requested(), cancelled()],
        vec![requested(), captured(), refund_requested(voided())],
        vec![requested(), captured(), refund_requested(voided()), refunded()],
    ] {
        given(events).when(Command::Withdraw).then_nothing();
    }
}

#[test]
fn money_taken_of_a_payment_given_up_goes_back() {
    for given_up in [cancelled(), expired(), declined()] {
        given([requested(), given_up])
            .when(record_capture("ch_1"))
            .then([captured_late(), refund_requested(RefundReason::CapturedLate)]);
    }
    let late =
        [requested(), cancelled(), captured_late(), refund_requested(RefundReason::CapturedLate)];
    given(late.clone()).when(record_capture("ch_1")).then_nothing();
    given(late).when(record_refund()).then([refunded()]);
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
        given([]).when(command).then_refused(Refusal::NoSuchPayment);
    }
}
