//! Invoices that are voided, and their credit notes.

use super::*;

const REASONS: [VoidReason; 4] = [
    VoidReason::OrderCancelled,
    VoidReason::PaymentDeclined,
    VoidReason::PaymentExpired,
    VoidReason::PaymentCancelled,
];

#[test]
fn an_unpaid_invoice_is_voided_for_any_reason() {
    for reason in REASONS {
        given::<InvoiceDecider>([issued()]).when(void(reason)).then([voided(reason)]);
        given::<InvoiceDecider>([issued(), paid(), refunded()])
            .when(void(reason))
            .then([voided(reason)]);
    }
}

#[test]
fn a_paid_invoice_is_voided_only_because_the_order_is_cancelled() {
    let reason = VoidReason::OrderCancelled;
    given::<InvoiceDecider>([issued(), paid()]).when(void(reason)).then([voided(reason)]);
    for reason in [VoidReason::PaymentDeclined, VoidReason::PaymentExpired] {
        given::<InvoiceDecider>([issued(), paid()])
            .when(void(reason))
            .refuses(&Refusal::AlreadyPaid);
    }
}

#[test]
fn the_first_reason_stands() {
    for reason in REASONS {
        given::<InvoiceDecider>([issued(), voided(VoidReason::PaymentDeclined)])
            .when(void(reason))
            .changes_nothing();
    }
}

#[test]
fn what_is_no_invoice_is_not_voided() {
    let reason = VoidReason::OrderCancelled;
    given::<InvoiceDecider>([]).when(void(reason)).refuses(&Refusal::NoSuchInvoice);
    given::<InvoiceDecider>([credited()]).when(void(reason)).refuses(&Refusal::IsCreditNote);
}

#[test]
fn the_credit_note_takes_the_whole_invoice_back() {
    given::<InvoiceDecider>([]).when(credit()).then([credited()]);
}

#[test]
fn a_credit_note_is_issued_once() {
    given::<InvoiceDecider>([credited()]).when(credit()).refuses(&Refusal::AlreadyIssued);
    given::<InvoiceDecider>([issued()]).when(credit()).refuses(&Refusal::AlreadyIssued);
}

#[test]
fn nothing_has_no_sign() {
    let free = InvoiceIssued {
        vat: vec![tax("0", "121.32", "0.00")],
        total_vat: decimal("0.00"),
        ..as_issued()
    };
    let note = IssueCreditNote {
        credit_note_id: CREDIT_NOTE,
        number: number("2"),
        credit: Account::opened(free.clone()).rest(),
        of: free,
        to_refund: Decimal::ZERO,
    };
    let credited = given::<InvoiceDecider>([]).when(Command::Credit(Box::new(note)));
    let events = credited.outcome().unwrap();
    let [Event::CreditNoteIssued(note)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(note.total_vat.to_string(), "0.00");
}
