//! Invoices that stay due though their payment fails.

use super::*;

fn deferred() -> Event {
    InvoiceDeferred { invoice_id: INVOICE, order_ids: vec![ORDER.as_uuid()] }.into()
}

fn failed(cause: CollectionFailure) -> Event {
    CollectionFailed { invoice_id: INVOICE, payment_id: PAYMENT.as_uuid(), cause }.into()
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
        given::<InvoiceDecider>([issued()]).when(fail(cause)).then([voided(reason)]);
        given::<InvoiceDecider>([issued(), voided(reason)]).when(fail(cause)).changes_nothing();
        given::<InvoiceDecider>([issued(), paid()])
            .when(fail(cause))
            .refuses(&Refusal::AlreadyPaid);
    }
}

#[test]
fn an_invoice_whose_order_is_carried_out_stays_due() {
    for (cause, _) in FAILURES {
        given::<InvoiceDecider>([issued(), deferred()]).when(fail(cause)).then([failed(cause)]);
        given::<InvoiceDecider>([issued(), deferred(), failed(cause)])
            .when(fail(cause))
            .changes_nothing();
    }
}

#[test]
fn what_is_paid_or_over_is_not_deferred() {
    given::<InvoiceDecider>([issued()]).when(Command::Defer).then([deferred()]);
    given::<InvoiceDecider>([issued(), deferred()]).when(Command::Defer).changes_nothing();
    given::<InvoiceDecider>([issued(), paid()]).when(Command::Defer).changes_nothing();
    given::<InvoiceDecider>([issued(), voided(VoidReason::OrderCancelled)])
        .when(Command::Defer)
        .changes_nothing();
    given::<InvoiceDecider>([]).when(Command::Defer).refuses(&Refusal::NoSuchInvoice);
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
        InvoiceDeferred { invoice_id: REPLACEMENT, order_ids: vec![ORDER.as_uuid()] }.into();
    given::<InvoiceDecider>([]).when(command()).then([anew.clone(), deferred]);
    given::<InvoiceDecider>([anew]).when(command()).changes_nothing();
}

#[test]
fn what_is_open_is_collected_when_no_payment_is_under_way() {
    let failed = failed(CollectionFailure::Expired);
    given::<InvoiceDecider>([issued()]).when(collect()).refuses(&Refusal::CollectionUnderWay);
    given::<InvoiceDecider>([issued(), deferred()])
        .when(collect())
        .refuses(&Refusal::CollectionUnderWay);
    given::<InvoiceDecider>([issued(), deferred(), failed.clone()])
        .when(collect())
        .then([asked_again()]);
    given::<InvoiceDecider>([issued(), deferred(), failed.clone(), asked_again()])
        .when(collect())
        .refuses(&Refusal::CollectionUnderWay);
    given::<InvoiceDecider>([issued(), deferred(), failed, asked_again()])
        .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
        .then([paid_by(OTHER_PAYMENT)]);
    given::<InvoiceDecider>([issued(), paid()]).when(collect()).refuses(&Refusal::AlreadyPaid);
    given::<InvoiceDecider>([issued(), voided(VoidReason::WrittenOff)])
        .when(collect())
        .refuses(&Refusal::NothingOpen);
}

#[test]
fn only_an_invoice_that_no_order_waits_for_is_written_off() {
    let write_off = || void(VoidReason::WrittenOff);
    given::<InvoiceDecider>([issued()]).when(write_off()).refuses(&Refusal::OrderAwaitsPayment);
    given::<InvoiceDecider>([issued(), deferred()])
        .when(write_off())
        .then([voided(VoidReason::WrittenOff)]);
    given::<InvoiceDecider>([issued(), paid()]).when(write_off()).refuses(&Refusal::AlreadyPaid);
}
