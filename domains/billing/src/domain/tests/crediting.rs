//! Credit notes over some of an invoice.

use super::*;

fn lines(wanted: &[(u32, &str)]) -> Vec<RefundLine> {
    let line =
        |(line, quantity): &(u32, &str)| RefundLine { line: *line, quantity: decimal(quantity) };
    wanted.iter().map(line).collect()
}

fn refund(scope: RefundScope) -> Command {
    let note = new_note();
    Command::CreditRefund(CreditRefund { payment_id: PAYMENT, refund_id: REFUND, scope, note })
}

fn returned(wanted: &[(u32, &str)], complete: bool) -> Command {
    let (lines, note) = (lines(wanted), new_note());
    Command::CreditReturn(CreditReturn { lines, complete, note, refund_id: REFUND })
}

fn denied(reason: DenialReason) -> Event {
    RefundDenied {
        invoice_id: INVOICE,
        payment_id: PAYMENT.as_uuid(),
        refund_id: REFUND.as_uuid(),
        reason,
    }
    .into()
}

/// Returns the credit of a command and the refund that it makes due.
#[track_caller]
fn credited_by(events: &[Event], command: Command) -> (InvoiceCredited, Option<RefundDue>) {
    let events = given::<InvoiceDecider>(events.to_vec())
        .when(command)
        .outcome()
        .expect("the command was refused");
    let mut events = events.into_iter();
    let Some(Event::Credited(credited)) = events.next() else { panic!("nothing was credited") };
    let due = events.next().map(|event| match event {
        Event::RefundDue(due) => due,
        other => panic!("{other:?}"),
    });
    (credited, due)
}

#[test]
fn a_line_takes_its_tax_along() {
    let scope = RefundScope::Lines { lines: lines(&[(1, "1")]) };
    let (credited, due) = credited_by(&[issued(), paid()], refund(scope));
    assert_eq!(credited.lines.len(), 1);
    assert_eq!(credited.lines[0].net, decimal("49.90"));
    assert_eq!(credited.vat, [tax("20", "49.90", "9.98")]);
    assert_eq!((credited.amount, credited.due), (decimal("59.88"), decimal("61.44")));
    let due = due.expect("it was paid");
    assert_eq!((due.amount, due.credit_note_id), (decimal("59.88"), Some(CREDIT_NOTE)));
}

#[test]
fn a_sum_is_shared_among_the_rates() {
    let scope = RefundScope::Amount { amount: decimal("20.00") };
    let (credited, due) = credited_by(&[issued(), paid()], refund(scope));
    assert_eq!(credited.amount, decimal("20.00"));
    assert_eq!(credited.vat, [tax("5.5", "0.25", "0.01"), tax("20", "16.45", "3.29")]);
    assert_eq!(due.unwrap().amount, decimal("20.00"));
}

#[test]
fn the_last_credit_note_takes_the_rest() {
    let (first, due) =
        credited_by(&[issued(), paid()], refund(RefundScope::Amount { amount: decimal("20.00") }));
    let story = [issued(), paid(), first.clone().into(), due.unwrap().into()];
    let (rest, _) = credited_by(&story, refund(RefundScope::Rest));
    assert_eq!(first.amount + rest.amount, decimal("121.32"));
    assert_eq!(rest.due, decimal("0.00"));
    for (left, whole) in [(0, "1.48"), (1, "99.80")] {
        assert_eq!(first.vat[left].base + rest.vat[left].base, decimal(whole));
    }
}

#[test]
fn more_than_what_is_left_is_denied() {
    let paid = [issued(), paid()];
    for (scope, reason) in [
        (RefundScope::Amount { amount: decimal("121.33") }, DenialReason::ExceedsInvoice),
        (RefundScope::Lines { lines: lines(&[(1, "2.5")]) }, DenialReason::ExceedsLine),
        (RefundScope::Lines { lines: lines(&[(1, "1"), (1, "1.5")]) }, DenialReason::ExceedsLine),
        (RefundScope::Lines { lines: lines(&[(3, "1")]) }, DenialReason::NoSuchLine),
    ] {
        given::<InvoiceDecider>(paid.clone()).when(refund(scope)).then([denied(reason)]);
    }
    given::<InvoiceDecider>([issued()])
        .when(refund(RefundScope::Rest))
        .then([denied(DenialReason::NotPaid)]);
    given::<InvoiceDecider>([issued(), voided(VoidReason::OrderCancelled)])
        .when(refund(RefundScope::Rest))
        .then([denied(DenialReason::ExceedsInvoice)]);
}

#[test]
fn a_return_of_what_is_not_paid_takes_off_what_is_due() {
    let (credited, due) = credited_by(&[issued()], returned(&[(1, "1")], false));
    assert_eq!((credited.due, due), (decimal("61.44"), None));
    // The payment under way still brings the whole amount: the difference is refunded.
    let events = given::<InvoiceDecider>([issued(), credited.into()])
        .when(pay(PAYMENT, "121.32", "EUR"))
        .outcome()
        .unwrap();
    let [Event::Paid(_), Event::RefundDue(due)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((due.amount, due.credit_note_id), (decimal("59.88"), None));
}

#[test]
fn what_was_paid_back_before_it_came_back_is_not_credited_again() {
    let scope = RefundScope::Lines { lines: lines(&[(1, "2")]) };
    let (refunded, due) = credited_by(&[issued(), paid()], refund(scope));
    let story = [issued(), paid(), refunded.into(), due.unwrap().into()];
    given::<InvoiceDecider>(story.clone()).when(returned(&[(1, "2")], false)).changes_nothing();
    let (rest, _) = credited_by(&story, returned(&[(1, "2"), (2, "1.25")], true));
    assert_eq!(rest.amount, decimal("1.56"));
    assert_eq!(rest.lines.len(), 1);
}

#[test]
fn an_invoice_partly_credited_is_voided_over_the_rest() {
    let scope = RefundScope::Lines { lines: lines(&[(1, "1")]) };
    let (first, due) = credited_by(&[issued(), paid()], refund(scope));
    let story = [issued(), paid(), first.into(), due.unwrap().into()];
    let invoice = given::<InvoiceDecider>(story);
    let before = invoice.state().clone();
    let events = invoice.when(void(VoidReason::OrderCancelled)).outcome().unwrap();
    let note = credit_note_for(&before, &events, number("2026-000003")).expect("no credit note");
    assert_eq!((note.credit.total(), note.to_refund), (decimal("61.44"), decimal("61.44")));
    let lines: Vec<_> = note.credit.lines.iter().map(|line| line.quantity).collect();
    assert_eq!(lines, [decimal("1"), decimal("1.25")]);
}

#[test]
fn sums_agree_after_every_event() {
    let scope = RefundScope::Amount { amount: decimal("20.00") };
    let (credited, due) = credited_by(&[issued(), paid()], refund(scope));
    let due = due.unwrap();
    let amount = due.amount;
    let went_back = InvoiceRefunded {
        invoice_id: INVOICE,
        payment_id: PAYMENT.as_uuid(),
        amount,
        refund_id: REFUND.as_uuid(),
    };
    let story: [Event; 6] = [
        issued(),
        paid(),
        credited.into(),
        due.into(),
        went_back.into(),
        voided(VoidReason::OrderCancelled),
    ];
    let mut invoice = Invoice::default();
    for event in &story {
        invoice = InvoiceDecider::evolve(invoice, event);
        let account = invoice.account().expect("it was issued here");
        let credited = decimal("121.32") - account.due();
        assert_eq!(credited + account.held() + account.open(), decimal("121.32"));
    }
    let account = invoice.account().unwrap();
    assert_eq!((account.held(), account.open()), (decimal("101.32"), decimal("-101.32")));
    // The refund that was due settled its own credit note; that of the voiding waits for the rest.
    assert_eq!(account.settled_by(WITHDRAWN, decimal("101.32")), Some(CREDIT_NOTE));
}
