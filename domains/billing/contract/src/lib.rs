//! What the billing module publishes: its events and ids, nothing else.

mod crediting;

use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use crediting::{
    CreditNoteIssued, CreditNoteSettled, CreditReason, CreditedLine, DenialReason, InvoiceCredited,
    RefundDenied, RefundDue,
};

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "billing.InvoiceIssued.v1": InvoiceIssued, about |event| event.customer_id;
    "billing.InvoicePaid.v1": InvoicePaid;
    "billing.InvoiceDeferred.v1": InvoiceDeferred;
    "billing.CollectionFailed.v1": CollectionFailed;
    "billing.CollectionRequested.v1": CollectionRequested;
    "billing.InvoiceVoided.v1": InvoiceVoided;
    "billing.InvoiceCredited.v1": InvoiceCredited;
    "billing.CreditNoteIssued.v1": CreditNoteIssued, about |event| event.customer_id;
    "billing.CreditNoteSettled.v1": CreditNoteSettled;
    "billing.RefundDue.v1": RefundDue;
    "billing.RefundDenied.v1": RefundDenied;
    "billing.InvoiceRefunded.v1": InvoiceRefunded;
    "billing.InvoiceImported.v1": InvoiceImported,
        about |event| event.state.customer_id.unwrap_or(event.invoice_id.as_uuid());
    "billing.InvoiceRevised.v1": InvoiceRevised,
        about |event| event.state.customer_id.unwrap_or(event.invoice_id.as_uuid());
}

event_contract::id! {
    /// Identifies an invoice or a credit note.
    pub InvoiceId of "invoice";
}

/// Whom a document is addressed to, as the law wants it on the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillTo {
    /// Name of the person or firm.
    pub name: String,
    /// Lines of the postal address.
    pub address_lines: Vec<String>,
    /// VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_number: Option<String>,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLine {
    /// The article's code.
    pub sku: String,
    /// What it is, for people.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// Price of one before tax.
    pub unit_price: Decimal,
    /// VAT rate in percent.
    pub vat_rate: Decimal,
    /// Quantity times price, rounded to the currency's minor unit.
    pub net: Decimal,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VatTotal {
    /// Rate in percent; none where a legacy system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// What it is computed on.
    pub base: Decimal,
    /// The tax.
    pub amount: Decimal,
}

/// An invoice was issued here for an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceIssued {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Its number in the year's series, such as `2026-000001`.
    pub number: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
    /// The orders it is for.
    pub order_ids: Vec<Uuid>,
    /// Who is to pay.
    pub customer_id: Uuid,
    /// Whom it is addressed to, as known at the time of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<Personal<BillTo>>,
    /// ISO 4217 code.
    pub currency: String,
    /// How it is to be paid, as the payment provider understands it.
    pub payment_method: String,
    /// What it is for.
    pub lines: Vec<InvoiceLine>,
    /// Sum before tax.
    pub total_net: Decimal,
    /// The tax per rate.
    pub vat: Vec<VatTotal>,
    /// Sum of the taxes.
    pub total_vat: Decimal,
    /// Sum to be paid.
    pub total: Decimal,
}

/// What is due on an invoice was paid in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaid {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The orders it is for.
    pub order_ids: Vec<Uuid>,
    /// The payment that settled it.
    pub payment_id: Uuid,
    /// What was paid.
    pub amount: Decimal,
}

/// Why an invoice was voided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// Its order was cancelled.
    OrderCancelled,
    /// Its payment was declined.
    PaymentDeclined,
    /// Its payment did not arrive in time.
    PaymentExpired,
    /// Its payment was cancelled.
    PaymentCancelled,
    /// Somebody no longer expects the money, though the order was carried out.
    WrittenOff,
}

/// Why the payment of an invoice that stays due came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollectionFailure {
    /// It was declined.
    Declined,
    /// It did not arrive in time.
    Expired,
    /// It was cancelled.
    Cancelled,
}

/// An invoice stays due whatever becomes of its payment: its order is carried out all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceDeferred {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The orders it is for.
    pub order_ids: Vec<Uuid>,
}

/// The payment of an invoice came to nothing, and the invoice stays due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionFailed {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The payment.
    pub payment_id: Uuid,
    /// Why.
    pub cause: CollectionFailure,
}

/// What is open on an invoice is to be collected by a further payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionRequested {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Which payment of the invoice it is: 2 for the first further one.
    pub attempt: u32,
    /// Who is to pay.
    pub customer_id: Uuid,
    /// What is to be paid.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// How it is to be paid, as the payment provider understands it.
    pub payment_method: String,
}

/// An invoice was voided by a credit note over everything that was left of it. It keeps its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceVoided {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The orders it was for.
    pub order_ids: Vec<Uuid>,
    /// The credit note that voids it.
    pub credit_note_id: InvoiceId,
    /// That credit note's number.
    pub credit_note_number: String,
    /// Why.
    pub reason: VoidReason,
}

/// Money paid on an invoice went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRefunded {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The payment that was refunded.
    pub payment_id: Uuid,
    /// What went back.
    pub amount: Decimal,
    /// The refund.
    pub refund_id: Uuid,
}

/// Invoice or credit note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Asks for money.
    Invoice,
    /// Takes an invoice back.
    CreditNote,
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Issued and not settled.
    Issued,
    /// Settled.
    Paid,
    /// Taken back by a credit note.
    Voided,
}

/// A document as a legacy system has it: numbers and totals are kept, nothing is recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedInvoice {
    /// Where it stands.
    pub status: DocumentStatus,
    /// Why it is voided, where the legacy system took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_reason: Option<Personal<String>>,
    /// Invoice or credit note.
    pub kind: DocumentKind,
    /// Its number in the legacy system.
    pub number: String,
    /// Day of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
    /// Who is to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// The orders it is for.
    #[serde(default)]
    pub order_ids: Vec<Uuid>,
    /// The invoices it takes back.
    #[serde(default)]
    pub credits: Vec<Uuid>,
    /// The credit notes that take it back.
    #[serde(default)]
    pub credited_by: Vec<Uuid>,
    /// Sum before tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_net: Option<Decimal>,
    /// Sum of the taxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_vat: Option<Decimal>,
    /// Sum with tax; negative on a credit note.
    pub total: Decimal,
    /// The tax per rate.
    #[serde(default)]
    pub vat: Vec<VatTotal>,
    /// What was paid on it.
    pub paid: Decimal,
    /// What is irregular about it, in short words such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A document of a legacy system was seen for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceImported {
    /// The document.
    pub invoice_id: InvoiceId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says.
    pub state: ImportedInvoice,
}

/// An imported document changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRevised {
    /// The document.
    pub invoice_id: InvoiceId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says now, in full.
    pub state: ImportedInvoice,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}
