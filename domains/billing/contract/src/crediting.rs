//! Credit notes, and the money that goes back by them.

use chrono::NaiveDate;
use event_contract::Personal;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BillTo, InvoiceId, InvoiceLine, VatTotal};

/// What of an invoice's line a credit note takes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditedLine {
    /// The line's place in the invoice, from 1.
    pub line: u32,
    /// How many of it.
    pub quantity: Decimal,
    /// Its share of the line's net.
    pub net: Decimal,
}

/// What led to a credit note over some of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreditReason {
    /// What was delivered came back.
    OrderReturned,
    /// Somebody asked for a refund.
    RefundRequested,
}

/// A credit note took back some of an invoice, which still stands. The amounts are positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceCredited {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The orders it is for.
    pub order_ids: Vec<Uuid>,
    /// The credit note.
    pub credit_note_id: InvoiceId,
    /// That credit note's number.
    pub credit_note_number: String,
    /// Why.
    pub reason: CreditReason,
    /// The lines that it takes back; empty when it is over a sum.
    #[serde(default)]
    pub lines: Vec<CreditedLine>,
    /// What it takes back per VAT rate.
    pub vat: Vec<VatTotal>,
    /// Sum with tax.
    pub amount: Decimal,
    /// What the invoice is over now, all its credit notes taken off.
    pub due: Decimal,
}

/// Money that was paid on an invoice is no longer due and has to go back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundDue {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The payment that it came with.
    pub payment_id: Uuid,
    /// The refund.
    pub refund_id: Uuid,
    /// The credit note that it pays out; none when more was paid than was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_note_id: Option<InvoiceId>,
    /// What has to go back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

/// Why no credit note is issued over a proposed refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// The invoice is not paid.
    NotPaid,
    /// It is more than what is left of the invoice.
    ExceedsInvoice,
    /// The invoice has no such line.
    NoSuchLine,
    /// It is more than what is left of a line.
    ExceedsLine,
    /// It comes to nothing.
    NothingToCredit,
}

/// A proposed refund gets no credit note, so that nothing goes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundDenied {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The payment.
    pub payment_id: Uuid,
    /// The refund.
    pub refund_id: Uuid,
    /// Why.
    pub reason: DenialReason,
}

/// The money of a credit note went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteSettled {
    /// The credit note.
    pub invoice_id: InvoiceId,
    /// The payment that the money went back by.
    pub payment_id: Uuid,
}

/// A credit note was issued; its amounts are negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteIssued {
    /// The credit note.
    pub invoice_id: InvoiceId,
    /// Its number in the year's series.
    pub number: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
    /// The invoice it takes back, or takes back some of.
    pub credits: InvoiceId,
    /// The number of that invoice.
    pub credits_number: String,
    /// The orders the invoice was for.
    pub order_ids: Vec<Uuid>,
    /// Who was to pay.
    pub customer_id: Uuid,
    /// Whom it is addressed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<Personal<BillTo>>,
    /// ISO 4217 code.
    pub currency: String,
    /// The invoice's lines that it takes back, with negative quantities; one line per VAT rate when it
    /// is over a sum.
    pub lines: Vec<InvoiceLine>,
    /// Sum before tax.
    pub total_net: Decimal,
    /// The tax per rate.
    pub vat: Vec<VatTotal>,
    /// Sum of the taxes.
    pub total_vat: Decimal,
    /// Sum with tax.
    pub total: Decimal,
    /// What of it has to go back to the customer, a positive sum. Absent when nothing was paid: the
    /// credit note is settled with its issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_refund: Option<Decimal>,
}
