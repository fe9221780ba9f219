//! Invoices that stay due though their payment fails.

use super::*;

fn deferred() -> Event {
    InvoiceDeferred { invoice_id: INVOICE, order_ids: vec![ORDER] }.into()
}

fn failed(cause: CollectionFailure) -> Event {
    CollectionFailed { invoice_id: INVOICE, payment_id: PAYMENT, cause }.into()
}

fn fail(cause: CollectionFailure) -> Command {
    Command::FailCollection(FailedCollection { payment_id: PAYMENT, cause, note: new_note() })
}

fn collect() -> Command {
    Command::Collect(Collect { payment_method: "sandbox:ok".to_owned() })
}

fn asked_again() -> Event {
    CollectionRequested {
        invoice_id: INVOICE,
        attempt: 2,
        customer_id: CUSTOMER,
        amount: decimal("121.32"),
        currency: "EUR".to_owned(),
        payment_method: "sandbox:ok".to_owned(),
    }
    .into()
}

const FAILURES: [(CollectionFailure, VoidReason); 3] = [
    (CollectionFailure::Declined, VoidReason::PaymentDeclined),
    (CollectionFailure::Expired, VoidReason::PaymentExpired),
    (CollectionFailure::Cancelled, VoidReason::PaymentCancelled),
];

#[test]
fn a_payment_that_fails_voids_the_invoice_of_an_order_that_waits_for_it() {
    for (cause, reason) in FAILURES {
        given(&[issued()]).when(fail(cause)).then(&[voided(reason)]);
        given(&[issued(), voided(reason)]).when(fail(cause)).then(&[]);
        given(&[issued(), paid()]).when(fail(cause)).then_refused(Refusal::AlreadyPaid);
    }
}

#[test]
fn an_invoice_whose_order_is_carried_out_stays_due() {
    for (cause, _) in FAILURES {
        given(&[issued(), deferred()]).when(fail(cause)).then(&[failed(cause)]);
        given(&[issued(), deferred(), failed(cause)]).when(fail(cause)).then(&[]);
    }
}

#[test]
fn what_is_paid_or_over_is_not_deferred() {
    given(&[issued()]).when(Command::Defer).then(&[deferred()]);
    given(&[issued(), deferred()]).when(Command::Defer).then(&[]);
    given(&[issued(), paid()]).when(Command::Defer).then(&[]);
    given(&[issued(), voided(VoidReason::OrderCancelled)]).when(Command::Defer).then(&[]);
    given(&[]).when(Command::Defer).then_refused(Refusal::NoSuchInvoice);
}

#[test]
fn an_invoice_voided_for_want_of_its_payment_is_issued_anew_and_stays_due() {
    let command = || {
        Command::IssueAnew(Box::new(IssueAnew {
            invoice_id: REPLACEMENT,
            number: number("2026-000003"),
            voided: as_issued(),
        }))
    };
    let number = "2026-000003".to_owned();
    let anew: Event = InvoiceIssued { invoice_id: REPLACEMENT, number, ..as_issued() }.into();
    let deferred: Event =
        InvoiceDeferred { invoice_id: REPLACEMENT, order_ids: vec![ORDER] }.into();
    given(&[]).when(command()).then(&[anew.clone(), deferred]);
    given(&[anew]).when(command()).then(&[]);
}

#[test]
fn what_is_open_is_collected_when_no_payment_is_under_way() {
    let failed = failed(CollectionFailure::Expired);
    given(&[issued()]).when(collect()).then_refused(Refusal::CollectionUnderWay);
    given(&[issued(), deferred()]).when(collect()).then_refused(Refusal::CollectionUnderWay);
    given(&[issued(), deferred(), failed.clone()]).when(collect()).then(&[asked_again()]);
    given(&[issued(), deferred(), failed.clone(), asked_again()])
        .when(collect())
        .then_refused(Refusal::CollectionUnderWay);
    given(&[issued(), deferred(), failed, asked_again()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .then(&[paid_by(OTHER_PAYMENT)]);
    given(&[issued(), paid()]).when(collect()).then_refused(Refusal::AlreadyPaid);
    given(&[issued(), voided(VoidReason::WrittenOff)])
        .when(collect())
        .then_refused(Refusal::NothingOpen);
}

#[test]
fn only_an_invoice_that_no_order_waits_for_is_written_off() {
    let write_off = || void(VoidReason::WrittenOff);
    given(&[issued()]).when(write_off()).then_refused(Refusal::OrderAwaitsPayment);
    given(&[issued(), deferred()]).when(write_off()).then(&[voided(VoidReason::WrittenOff)]);
    given(&[issued(), paid()]).when(write_off()).then_refused(Refusal::AlreadyPaid);
}
