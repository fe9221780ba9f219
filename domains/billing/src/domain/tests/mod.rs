//! The decisions about documents.

mod collecting;
mod crediting;
mod imported;
mod issuing;
mod numbers;
mod settling;
mod voiding;

use billing_contract::{
    BillTo, CollectionFailed, CollectionFailure, CollectionRequested, CreditNoteIssued,
    CreditNoteSettled, DenialReason, DocumentKind, DocumentStatus, ImportedInvoice,
    InvoiceCredited, InvoiceDeferred, InvoiceId, InvoiceImported, InvoiceIssued, InvoiceLine,
    InvoicePaid, InvoiceRefunded, InvoiceRevised, InvoiceVoided, RefundDenied, RefundDue, VatTotal,
    VoidReason,
};
use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal, Sample as _};
use kernel::decider::Decider as _;
use kernel::sync::{LegacyState, Patch};
use orders_contract::{OrderId, OrderLine, OrderPlaced};
use payments_contract::{PaymentId, RefundId, RefundLine, RefundScope};
use rust_decimal::Decimal;
use testkit::given;
use uuid::Uuid;

use super::{
    Account, Collect, Command, CreditRefund, CreditReturn, DocumentNumber, Event, FailedCollection,
    Invoice, InvoiceDecider, IssueAnew, IssueCreditNote, IssueInvoice, LegacyInvoice, LegacyReport,
    LegacyVat, NUMBER_LIKE_OURS, NewCreditNote, Receipt, Refusal, Repayment, SettleCreditNote,
    VoidInvoice, credit_note_for,
};

const INVOICE: InvoiceId = InvoiceId::from_u128(1);
const CREDIT_NOTE: InvoiceId = InvoiceId::from_u128(2);
const ORDER: OrderId = OrderId::from_u128(3);
const CUSTOMER: Uuid = Uuid::from_u128(4);
const PAYMENT: PaymentId = PaymentId::from_u128(5);
const OTHER_PAYMENT: PaymentId = PaymentId::from_u128(6);
const REFUND: RefundId = RefundId::from_u128(7);
/// A refund that payments makes on its own.
const WITHDRAWN: RefundId = RefundId::from_u128(9);
const REPLACEMENT: InvoiceId = InvoiceId::from_u128(8);

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
    DocumentNumber { text: text.to_owned(), issue_date: day("2026-03-01") }
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
        lines: vec![order_line("2", "49.90", "20"), order_line("1.25", "1.1850", "5.5")],
        total_net: decimal("101.28"),
        total_vat: decimal("20.04"),
        total: decimal("121.32"),
        ..OrderPlaced::sample()
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
    VatTotal { rate: Some(decimal(rate)), base: decimal(base), amount: decimal(amount) }
}

fn as_issued() -> InvoiceIssued {
    InvoiceIssued {
        invoice_id: INVOICE,
        number: "2026-000001".to_owned(),
        issue_date: day("2026-03-01"),
        order_ids: vec![ORDER.as_uuid()],
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
    paid_by(PAYMENT)
}

fn paid_by(payment_id: PaymentId) -> Event {
    let amount = decimal("121.32");
    InvoicePaid {
        invoice_id: INVOICE,
        order_ids: vec![ORDER.as_uuid()],
        payment_id: payment_id.as_uuid(),
        amount,
    }
    .into()
}

fn voided(reason: VoidReason) -> Event {
    InvoiceVoided {
        invoice_id: INVOICE,
        order_ids: vec![ORDER.as_uuid()],
        credit_note_id: CREDIT_NOTE,
        credit_note_number: "2026-000002".to_owned(),
        reason,
    }
    .into()
}

fn refunded() -> Event {
    InvoiceRefunded {
        invoice_id: INVOICE,
        payment_id: PAYMENT.as_uuid(),
        amount: decimal("121.32"),
        refund_id: WITHDRAWN.as_uuid(),
    }
    .into()
}

fn credited() -> Event {
    the_credit_note().into()
}

fn the_credit_note() -> CreditNoteIssued {
    CreditNoteIssued {
        invoice_id: CREDIT_NOTE,
        number: "2026-000002".to_owned(),
        issue_date: day("2026-03-01"),
        credits: INVOICE,
        credits_number: "2026-000001".to_owned(),
        order_ids: vec![ORDER.as_uuid()],
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
        to_refund: None,
    }
}

fn pay(payment_id: PaymentId, amount: &str, currency: &str) -> Command {
    let (amount, currency) = (decimal(amount), currency.to_owned());
    Command::Pay(Receipt { payment_id, amount, currency, refund_id: REFUND, is_late: false })
}

fn pay_late(payment_id: PaymentId, amount: &str) -> Command {
    let (amount, currency) = (decimal(amount), "EUR".to_owned());
    Command::Pay(Receipt { payment_id, amount, currency, refund_id: REFUND, is_late: true })
}

fn give_back(payment_id: PaymentId, amount: &str) -> Command {
    let (amount, currency) = (decimal(amount), "EUR".to_owned());
    Command::Refund(Repayment { payment_id, refund_id: WITHDRAWN, amount, currency })
}

fn void(reason: VoidReason) -> Command {
    Command::Void(VoidInvoice { reason, note: new_note() })
}

fn credit() -> Command {
    Command::Credit(Box::new(IssueCreditNote {
        credit_note_id: CREDIT_NOTE,
        number: number("2026-000002"),
        of: as_issued(),
        credit: Account::opened(as_issued()).rest(),
        to_refund: Decimal::ZERO,
    }))
}

fn new_note() -> NewCreditNote {
    NewCreditNote { credit_note_id: CREDIT_NOTE, number: "2026-000002".to_owned() }
}
