//! What documents decide, as given – when – then.

use billing_contract::{
    BillTo, CreditNoteIssued, DocumentKind, DocumentStatus, ImportedInvoice, InvoiceImported,
    InvoiceIssued, InvoiceLine, InvoicePaid, InvoiceRefunded, InvoiceRevised, InvoiceVoided,
    VatTotal, VoidReason,
};
use chrono::{DateTime, NaiveDate};
use event_contract::{LegacyReference, Personal};
use kernel::codec::EventSet as _;
use kernel::decider::{Context, Decider as _};
use kernel::sync::Patch;
use orders_contract::{OrderLine, OrderPlaced};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::series::{NumberTaken, Series, SeriesDecider, TakeNumber, is_like_ours, take};
use super::{
    Command, CreditNote, DocumentNumber, Event, Invoice, InvoiceDecider, IssueInvoice,
    LegacyInvoice, LegacyReport, LegacyVat, LegacyWord, NUMBER_LIKE_OURS, Receipt, Refusal,
    Repayment, VoidInvoice,
};

const INVOICE: Uuid = Uuid::from_u128(1);
const CREDIT_NOTE: Uuid = Uuid::from_u128(2);
const ORDER: Uuid = Uuid::from_u128(3);
const CUSTOMER: Uuid = Uuid::from_u128(4);
const PAYMENT: Uuid = Uuid::from_u128(5);
const OTHER_PAYMENT: Uuid = Uuid::from_u128(6);

struct Given(Invoice);

fn given(events: &[Event]) -> Given {
    Given(
        events
            .iter()
            .fold(Invoice::default(), InvoiceDecider::evolve),
    )
}

impl Given {
    fn when(self, command: Command) -> Then {
        let context = Context {
            now: DateTime::UNIX_EPOCH,
        };
        Then(InvoiceDecider::decide(&self.0, command, &context))
    }
}

struct Then(Result<Vec<Event>, Refusal>);

impl Then {
    #[track_caller]
    fn then(self, expected: &[Event]) {
        let events = self.0.expect("the command was refused");
        let json = |events: &[Event]| {
            let one = |event: &Event| (event.event_type(), event.to_json().unwrap());
            events.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(json(&events), json(expected));
    }

    #[track_caller]
    fn then_refused(self, refusal: Refusal) {
        assert_eq!(self.0.expect_err("the command was accepted"), refusal);
    }

    #[track_caller]
    fn only_event(self) -> Event {
        let mut events = self.0.expect("the command was refused");
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn bill_to() -> Personal<BillTo> {
    Personal::Known(BillTo {
        name: "Ada Martin".to_owned(),
        address_lines: vec!["1 rue de la Paix".to_owned(), "75002 Paris".to_owned()],
        vat_number: None,
    })
}

fn number(text: &str) -> DocumentNumber {
    DocumentNumber {
        text: text.to_owned(),
        issue_date: day("2026-03-01"),
    }
}

fn order_line(quantity: &str, unit_price: &str, vat_rate: &str) -> OrderLine {
    OrderLine {
        sku: "CH-1".to_owned(),
        description: "Chaise".to_owned(),
        quantity: decimal(quantity),
        unit_price: decimal(unit_price),
        vat_rate: decimal(vat_rate),
    }
}

fn order() -> OrderPlaced {
    OrderPlaced {
        order_id: ORDER,
        customer_id: CUSTOMER,
        currency: "EUR".to_owned(),
        payment_method: "sandbox:ok".to_owned(),
        lines: vec![
            order_line("2", "49.90", "20"),
            order_line("1.25", "1.1850", "5.5"),
        ],
        total_net: decimal("101.28"),
        total_vat: decimal("20.04"),
        total: decimal("121.32"),
    }
}

fn issue(order: OrderPlaced) -> Command {
    Command::Issue(Box::new(IssueInvoice {
        invoice_id: INVOICE,
        number: number("2026-000001"),
        order,
        bill_to: Some(bill_to()),
    }))
}

fn invoice_line(quantity: &str, unit_price: &str, vat_rate: &str, net: &str) -> InvoiceLine {
    InvoiceLine {
        sku: "CH-1".to_owned(),
        description: "Chaise".to_owned(),
        quantity: decimal(quantity),
        unit_price: decimal(unit_price),
        vat_rate: decimal(vat_rate),
        net: decimal(net),
    }
}

fn tax(rate: &str, base: &str, amount: &str) -> VatTotal {
    VatTotal {
        rate: Some(decimal(rate)),
        base: decimal(base),
        amount: decimal(amount),
    }
}

fn as_issued() -> InvoiceIssued {
    InvoiceIssued {
        invoice_id: INVOICE,
        number: "2026-000001".to_owned(),
        issue_date: day("2026-03-01"),
        order_ids: vec![ORDER],
        customer_id: CUSTOMER,
        bill_to: Some(bill_to()),
        currency: "EUR".to_owned(),
        payment_method: "sandbox:ok".to_owned(),
        lines: vec![
            invoice_line("2", "49.90", "20", "99.80"),
            invoice_line("1.25", "1.1850", "5.5", "1.48"),
        ],
        total_net: decimal("101.28"),
        vat: vec![tax("5.5", "1.48", "0.08"), tax("20", "99.80", "19.96")],
        total_vat: decimal("20.04"),
        total: decimal("121.32"),
    }
}

fn issued() -> Event {
    as_issued().into()
}

fn paid() -> Event {
    let (payment_id, amount) = (PAYMENT, decimal("121.32"));
    InvoicePaid {
        invoice_id: INVOICE,
        order_ids: vec![ORDER],
        payment_id,
        amount,
    }
    .into()
}

fn voided(reason: VoidReason) -> Event {
    InvoiceVoided {
        invoice_id: INVOICE,
        order_ids: vec![ORDER],
        credit_note_id: CREDIT_NOTE,
        credit_note_number: "2026-000002".to_owned(),
        reason,
    }
    .into()
}

fn refunded() -> Event {
    InvoiceRefunded {
        invoice_id: INVOICE,
        payment_id: PAYMENT,
        amount: decimal("121.32"),
    }
    .into()
}

fn credited() -> Event {
    CreditNoteIssued {
        invoice_id: CREDIT_NOTE,
        number: "2026-000002".to_owned(),
        issue_date: day("2026-03-01"),
        credits: INVOICE,
        credits_number: "2026-000001".to_owned(),
        order_ids: vec![ORDER],
        customer_id: CUSTOMER,
        bill_to: Some(bill_to()),
        currency: "EUR".to_owned(),
        lines: vec![
            invoice_line("-2", "49.90", "20", "-99.80"),
            invoice_line("-1.25", "1.1850", "5.5", "-1.48"),
        ],
        total_net: decimal("-101.28"),
        vat: vec![tax("5.5", "-1.48", "-0.08"), tax("20", "-99.80", "-19.96")],
        total_vat: decimal("-20.04"),
        total: decimal("-121.32"),
    }
    .into()
}

fn pay(payment_id: Uuid, amount: &str, currency: &str) -> Command {
    let (amount, currency) = (decimal(amount), currency.to_owned());
    Command::Pay(Receipt {
        payment_id,
        amount,
        currency,
    })
}

fn give_back(payment_id: Uuid, amount: &str) -> Command {
    let (amount, currency) = (decimal(amount), "EUR".to_owned());
    Command::Refund(Repayment {
        payment_id,
        amount,
        currency,
    })
}

fn void(reason: VoidReason) -> Command {
    let credit_note_number = "2026-000002".to_owned();
    Command::Void(VoidInvoice {
        reason,
        credit_note_id: CREDIT_NOTE,
        credit_note_number,
    })
}

fn credit() -> Command {
    Command::Credit(Box::new(CreditNote {
        credit_note_id: CREDIT_NOTE,
        number: number("2026-000002"),
        voids: as_issued(),
    }))
}

mod issuing {
    use super::*;

    #[test]
    fn an_order_is_invoiced_with_its_own_totals() {
        given(&[]).when(issue(order())).then(&[issued()]);
    }

    #[test]
    fn an_invoice_is_issued_once() {
        given(&[issued()])
            .when(issue(order()))
            .then_refused(Refusal::AlreadyIssued);
        given(&[credited()])
            .when(issue(order()))
            .then_refused(Refusal::AlreadyIssued);
    }

    #[test]
    fn an_order_that_does_not_add_up_is_not_invoiced() {
        for (wrong, computed) in [
            (
                OrderPlaced {
                    total_net: decimal("1"),
                    ..order()
                },
                "101.28",
            ),
            (
                OrderPlaced {
                    total_vat: decimal("1"),
                    ..order()
                },
                "20.04",
            ),
            (
                OrderPlaced {
                    total: decimal("1"),
                    ..order()
                },
                "121.32",
            ),
        ] {
            let (computed, stated) = (decimal(computed), decimal("1"));
            let refusal = Refusal::TotalsDisagree { computed, stated };
            given(&[]).when(issue(wrong)).then_refused(refusal);
        }
    }

    #[test]
    fn what_cannot_be_computed_is_not_invoiced() {
        let unknown = OrderPlaced {
            currency: "ABC".to_owned(),
            ..order()
        };
        given(&[])
            .when(issue(unknown))
            .then_refused(Refusal::UnknownCurrency);
        let line = order_line(&Decimal::MAX.to_string(), "10", "20");
        let huge = OrderPlaced {
            lines: vec![line],
            ..order()
        };
        given(&[])
            .when(issue(huge))
            .then_refused(Refusal::TotalTooLarge);
    }
}

mod settling {
    use super::*;

    #[test]
    fn the_whole_sum_settles_an_invoice() {
        given(&[issued()])
            .when(pay(PAYMENT, "121.32", "EUR"))
            .then(&[paid()]);
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
        given(&[issued(), paid()])
            .when(pay(PAYMENT, "121.32", "EUR"))
            .then(&[]);
        given(&[issued(), paid()])
            .when(pay(OTHER_PAYMENT, "121.32", "EUR"))
            .then_refused(Refusal::PaidByAnother);
    }

    #[test]
    fn what_is_no_open_invoice_is_not_paid() {
        let pay = || pay(PAYMENT, "121.32", "EUR");
        given(&[]).when(pay()).then_refused(Refusal::NoSuchInvoice);
        given(&[credited()])
            .when(pay())
            .then_refused(Refusal::IsCreditNote);
        given(&[issued(), voided(VoidReason::OrderCancelled)])
            .when(pay())
            .then_refused(Refusal::AlreadyVoided);
    }

    #[test]
    fn money_goes_back_whether_the_invoice_stands_or_not() {
        given(&[issued(), paid()])
            .when(give_back(PAYMENT, "121.32"))
            .then(&[refunded()]);
        given(&[issued(), paid(), voided(VoidReason::OrderCancelled)])
            .when(give_back(PAYMENT, "121.32"))
            .then(&[refunded()]);
    }

    #[test]
    fn money_goes_back_once() {
        given(&[issued(), paid(), refunded()])
            .when(give_back(PAYMENT, "121.32"))
            .then(&[]);
        given(&[
            issued(),
            paid(),
            voided(VoidReason::OrderCancelled),
            refunded(),
        ])
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
        given(&[issued()])
            .when(give_back(PAYMENT, "121.32"))
            .then_refused(Refusal::NotPaid);
        given(&[issued(), paid()])
            .when(give_back(OTHER_PAYMENT, "121.32"))
            .then_refused(Refusal::PaidByAnother);
        let (expected, found) = ("121.32 EUR".to_owned(), "1 EUR".to_owned());
        given(&[issued(), paid()])
            .when(give_back(PAYMENT, "1"))
            .then_refused(Refusal::AmountDiffers { expected, found });
        given(&[])
            .when(give_back(PAYMENT, "1"))
            .then_refused(Refusal::NoSuchInvoice);
    }
}

mod voiding {
    use super::*;

    const REASONS: [VoidReason; 3] = [
        VoidReason::OrderCancelled,
        VoidReason::PaymentDeclined,
        VoidReason::PaymentExpired,
    ];

    #[test]
    fn an_unpaid_invoice_is_voided_for_any_reason() {
        for reason in REASONS {
            given(&[issued()])
                .when(void(reason))
                .then(&[voided(reason)]);
            given(&[issued(), paid(), refunded()])
                .when(void(reason))
                .then(&[voided(reason)]);
        }
    }

    #[test]
    fn a_paid_invoice_is_voided_only_because_the_order_is_cancelled() {
        let reason = VoidReason::OrderCancelled;
        given(&[issued(), paid()])
            .when(void(reason))
            .then(&[voided(reason)]);
        for reason in [VoidReason::PaymentDeclined, VoidReason::PaymentExpired] {
            given(&[issued(), paid()])
                .when(void(reason))
                .then_refused(Refusal::AlreadyPaid);
        }
    }

    #[test]
    fn the_first_reason_stands() {
        for reason in REASONS {
            given(&[issued(), voided(VoidReason::PaymentDeclined)])
                .when(void(reason))
                .then(&[]);
        }
    }

    #[test]
    fn what_is_no_invoice_is_not_voided() {
        let reason = VoidReason::OrderCancelled;
        given(&[])
            .when(void(reason))
            .then_refused(Refusal::NoSuchInvoice);
        given(&[credited()])
            .when(void(reason))
            .then_refused(Refusal::IsCreditNote);
    }

    #[test]
    fn the_credit_note_takes_the_whole_invoice_back() {
        given(&[]).when(credit()).then(&[credited()]);
    }

    #[test]
    fn a_credit_note_is_issued_once() {
        given(&[credited()])
            .when(credit())
            .then_refused(Refusal::AlreadyIssued);
        given(&[issued()])
            .when(credit())
            .then_refused(Refusal::AlreadyIssued);
    }

    #[test]
    fn nothing_has_no_sign() {
        let free = InvoiceIssued {
            total_vat: decimal("0.00"),
            ..as_issued()
        };
        let note = CreditNote {
            credit_note_id: CREDIT_NOTE,
            number: number("2"),
            voids: free,
        };
        match given(&[])
            .when(Command::Credit(Box::new(note)))
            .only_event()
        {
            Event::CreditNoteIssued(note) => assert_eq!(note.total_vat.to_string(), "0.00"),
            other => panic!("{other:?}"),
        }
    }
}

mod numbers {
    use super::*;

    fn next(taken: &[&str], today: &str) -> NumberTaken {
        let issued_on = |series, issue_date: &&str| {
            let (number, issue_date) = (String::new(), day(issue_date));
            let taken = NumberTaken {
                number,
                invoice_id: INVOICE,
                issue_date,
            };
            SeriesDecider::evolve(series, &taken.into())
        };
        let series = taken.iter().fold(Series::default(), issued_on);
        let last_revision = (taken.len() as u64).checked_sub(1);
        let today = day(today);
        take(
            &series,
            TakeNumber {
                year: 2026,
                last_revision,
                today,
                invoice_id: INVOICE,
            },
        )
    }

    #[test]
    fn the_number_is_the_place_in_the_series() {
        assert_eq!(next(&[], "2026-01-02").number, "2026-000001");
        assert_eq!(next(&["2026-01-02"], "2026-01-02").number, "2026-000002");
        let many = TakeNumber {
            year: 2026,
            last_revision: Some(1_233_455),
            today: day("2026-12-31"),
            invoice_id: INVOICE,
        };
        assert_eq!(take(&Series::Unused, many).number, "2026-1233457");
    }

    #[test]
    fn the_day_of_issue_is_today_but_never_before_the_last_one() {
        assert_eq!(next(&[], "2026-03-01").issue_date, day("2026-03-01"));
        assert_eq!(
            next(&["2026-03-01"], "2026-03-02").issue_date,
            day("2026-03-02")
        );
        assert_eq!(
            next(&["2026-03-01"], "2026-02-28").issue_date,
            day("2026-03-01")
        );
    }

    #[test]
    fn numbers_that_look_like_ours_are_told() {
        for ours in ["2026-000001", "1999-123456", "2026-1234567"] {
            assert!(is_like_ours(ours), "{ours}");
        }
        for other in [
            "",
            "-",
            "FA2025-00001",
            "2026-00001",
            "26-000001",
            "2026000001",
            "2026-00000a",
            "2026-000001-A",
            "２０２６-000001",
        ] {
            assert!(!is_like_ours(other), "{other}");
        }
    }
}

mod legacy;
