//! Credit notes and the refunds that pay them out.

use chrono::NaiveDate;
use event_contract::Personal;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BillTo, InvoiceId, InvoiceLine, VatTotal};

/// The part of an invoice line that a credit note takes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditedLine {
    /// Number of the invoice line, counted from 1.
    pub line: u32,
    /// Credited quantity.
    pub quantity: Decimal,
    /// Credited share of the line's net amount, in the invoice's currency.
    pub net: Decimal,
}

/// The cause of a credit note over part of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreditReason {
    /// The customer returned goods.
    OrderReturned,
    /// A refund was requested without a return.
    RefundRequested,
}

/// A credit note took back part of an invoice, which remains valid. The amounts are positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceCredited {
    /// Credited invoice.
    pub invoice_id: InvoiceId,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
    /// Credit note.
    pub credit_note_id: InvoiceId,
    /// Number of the credit note.
    pub credit_note_number: String,
    /// Cause of the credit note.
    pub reason: CreditReason,
    /// Credited lines; empty if the credit note is over an amount instead.
    #[serde(default)]
    pub lines: Vec<CreditedLine>,
    /// Credited base and tax per VAT rate.
    pub vat: Vec<VatTotal>,
    /// Credited amount including tax.
    pub amount: Decimal,
    /// Invoice total including tax, minus all its credit notes.
    pub due: Decimal,
}

/// The invoice holds money that is no longer due; payments refunds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundDue {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Payment that brought the money.
    pub payment_id: Uuid,
    /// Refund to be made.
    pub refund_id: Uuid,
    /// Credit note that the refund pays out; absent if the payment exceeded the amount due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_note_id: Option<InvoiceId>,
    /// Amount to be refunded.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
}

/// The reason why a proposed refund gets no credit note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// The invoice is not paid.
    NotPaid,
    /// The amount exceeds what remains of the invoice.
    ExceedsInvoice,
    /// The invoice has no such line.
    NoSuchLine,
    /// The quantity exceeds what remains of a line.
    ExceedsLine,
    /// The proposed refund amounts to zero.
    NothingToCredit,
}

/// A proposed refund gets no credit note, and is not paid out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundDenied {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Payment that was to be refunded.
    pub payment_id: Uuid,
    /// Denied refund.
    pub refund_id: Uuid,
    /// Reason of the denial.
    pub reason: DenialReason,
}

/// The money of a credit note was refunded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteSettled {
    /// Credit note.
    pub invoice_id: InvoiceId,
    /// Payment through which the money was refunded.
    pub payment_id: Uuid,
}

/// A credit note was issued; its amounts are negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteIssued {
    /// Credit note.
    pub invoice_id: InvoiceId,
    /// Number in the year's series.
    pub number: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
    /// Invoice that the credit note takes back, in whole or in part.
    pub credits: InvoiceId,
    /// Number of that invoice.
    pub credits_number: String,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
    /// Customer of the invoice.
    pub customer_id: Uuid,
    /// Name and address of the customer, as on the invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<Personal<BillTo>>,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Credited invoice lines with negative quantities; one line per VAT rate if the credit note is
    /// over an amount.
    pub lines: Vec<InvoiceLine>,
    /// Total before tax.
    pub total_net: Decimal,
    /// Tax per VAT rate.
    pub vat: Vec<VatTotal>,
    /// Total tax.
    pub total_vat: Decimal,
    /// Total including tax.
    pub total: Decimal,
    /// Amount to be refunded to the customer, positive. Absent if nothing was paid: the credit note is
    /// then settled when it is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_refund: Option<Decimal>,
}
