use chrono::TimeZone as _;
use kernel::codec::EventSet as _;
use kernel::sync::Patch;
use payments_contract::{ImportedPaymentStatus, RefundReason};
use uuid::Uuid;

use super::*;

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
        let payment = self
            .0
            .iter()
            .fold(Payment::default(), PaymentDecider::evolve);
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
        assert_eq!(
            stored(self.outcome.unwrap()),
            stored(expected.into_iter().collect())
        );
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
    }
}

fn requested() -> Event {
    the_request().into()
}

fn captured() -> Event {
    let PaymentRequested {
        payment_id,
        invoice_id,
        amount,
        currency,
        ..
    } = the_request();
    let provider_reference = "ch_1".to_owned();
    PaymentCaptured {
        payment_id,
        invoice_id,
        amount,
        currency,
        provider_reference,
    }
    .into()
}

fn captured_late() -> Event {
    let PaymentRequested {
        payment_id,
        invoice_id,
        amount,
        currency,
        ..
    } = the_request();
    let provider_reference = "ch_1".to_owned();
    PaymentCapturedLate {
        payment_id,
        invoice_id,
        amount,
        currency,
        provider_reference,
    }
    .into()
}

fn declined() -> Event {
    PaymentDeclined {
        payment_id: ID,
        invoice_id: INVOICE,
        reason: "no funds".to_owned(),
    }
    .into()
}

fn expired() -> Event {
    PaymentExpired {
        payment_id: ID,
        invoice_id: INVOICE,
    }
    .into()
}

fn cancelled() -> Event {
    PaymentCancelled {
        payment_id: ID,
        invoice_id: INVOICE,
    }
    .into()
}

fn refund_requested(reason: RefundReason) -> Event {
    let PaymentRequested {
        payment_id,
        invoice_id,
        amount,
        currency,
        ..
    } = the_request();
    RefundRequested {
        payment_id,
        invoice_id,
        amount,
        currency,
        reason,
    }
    .into()
}

fn refunded() -> Event {
    let PaymentRequested {
        payment_id,
        invoice_id,
        amount,
        currency,
        ..
    } = the_request();
    let provider_reference = "re_1".to_owned();
    PaymentRefunded {
        payment_id,
        invoice_id,
        amount,
        currency,
        provider_reference,
    }
    .into()
}

fn voided() -> RefundReason {
    RefundReason::InvoiceVoided
}

fn record_capture(reference: &str) -> Command {
    Command::RecordCapture {
        reference: reference.to_owned(),
    }
}

fn record_decline() -> Command {
    Command::RecordDecline {
        reason: "no funds".to_owned(),
    }
}

fn refund() -> Command {
    Command::Refund {
        reason: "broken".to_owned(),
    }
}

fn record_refund() -> Command {
    Command::RecordRefund {
        reference: "re_1".to_owned(),
    }
}

#[test]
fn a_payment_is_requested_once() {
    given([])
        .when(Command::Request(the_request()))
        .then([requested()]);
    given([requested()])
        .when(Command::Request(the_request()))
        .then_nothing();
    given([requested(), captured()])
        .when(Command::Request(the_request()))
        .then_nothing();
    let other = PaymentRequested {
        amount: 1.into(),
        ..the_request()
    };
    given([requested()])
        .when(Command::Request(other))
        .then_refused(Refusal::AlreadyRequested);
}

#[test]
fn the_providers_word_decides_a_pending_payment() {
    given([requested()])
        .when(record_capture("ch_1"))
        .then([captured()]);
    given([requested()])
        .when(record_decline())
        .then([declined()]);
}

#[test]
fn money_taken_before_we_gave_up_counts_even_after_the_deadline() {
    given([requested()])
        .when_at(record_capture("ch_1"), deadline())
        .then([captured()]);
}

#[test]
fn the_providers_word_may_be_heard_twice() {
    given([requested(), captured()])
        .when(record_capture("ch_1"))
        .then_nothing();
    given([requested(), declined()])
        .when(record_decline())
        .then_nothing();
    given([requested(), captured(), refund_requested(voided())])
        .when(record_capture("ch_1"))
        .then_nothing();
    given([
        requested(),
        captured(),
        refund_requested(voided()),
        refunded(),
    ])
    .when(record_refund())
    .then_nothing();
}

#[test]
fn the_provider_cannot_contradict_a_capture() {
    given([requested(), captured()])
        .when(record_capture("ch_2"))
        .then_refused(Refusal::AnotherCapture);
    given([requested(), captured()])
        .when(record_decline())
        .then_refused(Refusal::AlreadyCaptured);
    given([requested(), captured()])
        .when_at(Command::Expire, deadline())
        .then_refused(Refusal::AlreadyCaptured);
}

#[test]
fn a_payment_expires_at_its_deadline_and_not_before() {
    given([requested()])
        .when(Command::Expire)
        .then_refused(Refusal::NotDueYet {
            deadline: deadline(),
        });
    given([requested()])
        .when_at(Command::Expire, deadline())
        .then([expired()]);
    given([requested(), expired()])
        .when_at(Command::Expire, deadline())
        .then_nothing();
    given([requested(), cancelled()])
        .when_at(Command::Expire, deadline())
        .then_nothing();
}

#[test]
fn only_a_pending_payment_is_cancelled() {
    given([requested()])
        .when(Command::Cancel)
        .then([cancelled()]);
    given([requested(), cancelled()])
        .when(Command::Cancel)
        .then_nothing();
    given([requested(), captured()])
        .when(Command::Cancel)
        .then_refused(Refusal::AlreadyCaptured);
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
    let reason = RefundReason::Requested {
        reason: "broken".to_owned(),
    };
    given([requested(), captured()])
        .when(refund())
        .then([refund_requested(reason)]);
    given([requested(), captured(), refund_requested(voided())])
        .when(refund())
        .then_nothing();
    for (events, stage) in [
        (vec![requested()], "pending"),
        (vec![requested(), declined()], "declined"),
        (vec![requested(), expired()], "expired"),
        (vec![requested(), cancelled()], "cancelled"),
    ] {
        given(events)
            .when(refund())
            .then_refused(Refusal::NothingToRefund(stage));
    }
}

#[test]
fn a_refund_that_was_asked_for_is_recorded_when_it_is_done() {
    given([requested(), captured(), refund_requested(voided())])
        .when(record_refund())
        .then([refunded()]);
    given([requested(), captured()])
        .when(record_refund())
        .then_refused(Refusal::NoRefundRequested);
}

#[test]
fn no_money_of_a_void_invoice_stays_here() {
    given([requested()])
        .when(Command::Withdraw)
        .then([cancelled()]);
    given([requested(), captured()])
        .when(Command::Withdraw)
        .then([refund_requested(voided())]);
    for events in [
        vec![requested(), declined()],
        vec![requested(), expired()],
        vec![requested(), cancelled()],
        vec![requested(), captured(), refund_requested(voided())],
        vec![
            requested(),
            captured(),
            refund_requested(voided()),
            refunded(),
        ],
    ] {
        given(events).when(Command::Withdraw).then_nothing();
    }
}

#[test]
fn money_taken_of_a_payment_given_up_goes_back() {
    for given_up in [cancelled(), expired(), declined()] {
        given([requested(), given_up])
            .when(record_capture("ch_1"))
            .then([
                captured_late(),
                refund_requested(RefundReason::CapturedLate),
            ]);
    }
    let late = [
        requested(),
        cancelled(),
        captured_late(),
        refund_requested(RefundReason::CapturedLate),
    ];
    given(late.clone())
        .when(record_capture("ch_1"))
        .then_nothing();
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

// --- what a legacy system has -----------------------------------------------------------------

fn legacy() -> LegacyReference {
    LegacyReference {
        source: "tryton".to_owned(),
        id: "account_move_line/7".to_owned(),
    }
}

fn patch() -> LegacyPatch {
    LegacyPatch {
        status: Some(ImportedPaymentStatus::Captured),
        invoice_id: Patch::Set(INVOICE),
        date: Patch::Set("2026-02-01".parse().unwrap()),
        amount: Some("50.00".parse().unwrap()),
        currency: Some("EUR".to_owned()),
        reconciled: Patch::Set(false),
        flags: Patch::Keep,
    }
}

fn sync(patch: LegacyPatch) -> Command {
    Command::Sync {
        payment_id: ID,
        legacy: legacy(),
        word: LegacyWord::Present(patch),
    }
}

fn gone() -> Command {
    let word = LegacyWord::Absent {
        reason: "deleted".to_owned(),
    };
    Command::Sync {
        payment_id: ID,
        legacy: legacy(),
        word,
    }
}

fn state() -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Captured,
        cancelled_reason: None,
        invoice_id: Some(INVOICE),
        date: Some("2026-02-01".parse().unwrap()),
        amount: "50.00".parse().unwrap(),
        currency: "EUR".to_owned(),
        reconciled: Some(false),
        flags: vec![],
    }
}

fn imported() -> Event {
    PaymentImported {
        payment_id: ID,
        legacy: legacy(),
        state: state(),
    }
    .into()
}

fn revised(state: ImportedPayment, changed: &[&str]) -> Event {
    let changed = changed.iter().map(|&name| name.to_owned()).collect();
    PaymentRevised {
        payment_id: ID,
        legacy: legacy(),
        state,
        changed,
    }
    .into()
}

fn taken_back() -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Cancelled,
        cancelled_reason: Some("deleted".to_owned()),
        ..state()
    }
}

#[test]
fn a_legacy_payment_is_imported_then_revised_and_repetitions_change_nothing() {
    given([]).when(sync(patch())).then([imported()]);
    given([imported()]).when(sync(patch())).then_nothing();
    let reconciled = LegacyPatch {
        reconciled: Patch::Set(true),
        ..patch()
    };
    let after = ImportedPayment {
        reconciled: Some(true),
        ..state()
    };
    given([imported()])
        .when(sync(reconciled))
        .then([revised(after, &["reconciled"])]);
}

#[test]
fn a_field_the_legacy_does_not_speak_of_is_kept_and_one_it_clears_goes() {
    given([imported()])
        .when(sync(LegacyPatch::default()))
        .then_nothing();
    let cleared = LegacyPatch {
        invoice_id: Patch::Clear,
        ..LegacyPatch::default()
    };
    let after = ImportedPayment {
        invoice_id: None,
        ..state()
    };
    given([imported()])
        .when(sync(cleared))
        .then([revised(after, &["invoice_id"])]);
}

#[test]
fn the_first_word_needs_an_amount_in_a_currency() {
    given([])
        .when(sync(LegacyPatch {
            amount: None,
            ..patch()
        }))
        .then_refused(Refusal::Incomplete("amount"));
    given([])
        .when(sync(LegacyPatch {
            currency: None,
            ..patch()
        }))
        .then_refused(Refusal::Incomplete("currency"));
}

#[test]
fn one_that_disappears_there_is_cancelled_and_one_that_returns_is_reinstated() {
    given([]).when(gone()).then_nothing();
    let back = revised(taken_back(), &["cancelled_reason", "status"]);
    let changed = |events: Vec<Event>, command| {
        let Ok(events) = given(events).when(command).outcome else {
            panic!("refused")
        };
        let [Event::Revised(revised)] = &events[..] else {
            panic!("{events:?}")
        };
        (revised.state.clone(), {
            let mut changed = revised.changed.clone();
            changed.sort();
            changed
        })
    };
    let both = vec!["cancelled_reason".to_owned(), "status".to_owned()];
    assert_eq!(
        changed(vec![imported()], gone()),
        (taken_back(), both.clone())
    );
    given([imported(), back.clone()])
        .when(gone())
        .then_nothing();
    let returns = sync(LegacyPatch {
        status: None,
        ..patch()
    });
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
        given([imported()])
            .when(command)
            .then_refused(Refusal::OwnedByLegacy);
    }
    for command in [sync(patch()), gone()] {
        given([requested()])
            .when(command)
            .then_refused(Refusal::OwnedByBascule);
    }
}
