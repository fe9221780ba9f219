use customers_contract::CustomerId;
use payments_contract::{RefundLine, RefundReason};
use testkit::given;

use super::refund::nth_refund_of;
use super::*;

mod collection;
mod imported;
mod refunds;

const ID: PaymentId = PaymentId::from_u128(1);
const INVOICE: InvoiceId = InvoiceId::from_u128(2);
const CUSTOMER: CustomerId = CustomerId::from_u128(3);
const REFUND: RefundId = RefundId::from_u128(4);
const OTHER_REFUND: RefundId = RefundId::from_u128(5);
const CREDIT_NOTE: InvoiceId = InvoiceId::from_u128(6);

/// Later than when decisions are made unless a test says otherwise.
const DEADLINE: &str = "2026-03-01T12:15:00Z";

fn deadline() -> DateTime<Utc> {
    DEADLINE.parse().unwrap()
}

fn the_request() -> PaymentRequested {
    PaymentRequested {
        payment_id: ID,
        invoice_id: INVOICE.as_uuid(),
        amount: "119.76".parse().unwrap(),
        currency: "EUR".to_owned(),
        method: "sandbox:ok".to_owned(),
        deadline: deadline(),
        customer_id: CUSTOMER.as_uuid(),
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
        invoice_id: INVOICE.as_uuid(),
        customer_id: CUSTOMER.as_uuid(),
        reason: "no funds".to_owned().into(),
    }
    .into()
}

fn expired() -> Event {
    PaymentExpired { payment_id: ID, invoice_id: INVOICE.as_uuid() }.into()
}

fn cancelled() -> Event {
    PaymentCancelled { payment_id: ID, invoice_id: INVOICE.as_uuid() }.into()
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
