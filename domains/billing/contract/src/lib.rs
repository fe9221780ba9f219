//! The events and ids that the billing module publishes, and nothing else.

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
    /// Every version of every event that this module publishes or has published.
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

/// The addressee of a document: the particulars that the law requires on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillTo {
    /// Name of the person or company.
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
    /// Article code.
    pub sku: String,
    /// Description of the article.
    pub description: String,
    /// Invoiced quantity.
    pub quantity: Decimal,
    /// Unit price before tax, in the invoice's currency.
    pub unit_price: Decimal,
    /// VAT rate in percent.
    pub vat_rate: Decimal,
    /// Quantity times unit price, rounded to the currency's minor unit.
    pub net: Decimal,
}

/// The tax at one VAT rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VatTotal {
    /// VAT rate in percent; absent if a legacy system does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// Amount that the tax is computed from.
    pub base: Decimal,
    /// Amount of tax.
    pub amount: Decimal,
}

/// Billing issued an invoice for an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceIssued {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Number in the year's series, such as `2026-000001`.
    pub number: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
    /// Customer who owes the invoice.
    pub customer_id: Uuid,
    /// Name and address of the customer at the time of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<Personal<BillTo>>,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Payment method, in the payment provider's terms.
    pub payment_method: String,
    /// Invoiced lines.
    pub lines: Vec<InvoiceLine>,
    /// Total before tax.
    pub total_net: Decimal,
    /// Tax per VAT rate.
    pub vat: Vec<VatTotal>,
    /// Total tax.
    pub total_vat: Decimal,
    /// Total including tax: the amount due.
    pub total: Decimal,
}

/// A payment settled the whole amount due on an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaid {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
    /// Payment that settled the invoice.
    pub payment_id: Uuid,
    /// Amount paid.
    pub amount: Decimal,
}

/// The reason why an invoice was voided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// The order was cancelled.
    OrderCancelled,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive before its deadline.
    PaymentExpired,
    /// The payment was cancelled.
    PaymentCancelled,
    /// An operator gave up the money although the order was carried out.
    WrittenOff,
}

/// The reason why a payment failed, of an invoice that stays due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollectionFailure {
    /// The provider declined the payment.
    Declined,
    /// The payment did not arrive before its deadline.
    Expired,
    /// The payment was cancelled.
    Cancelled,
}

/// An invoice stays due even if its payment fails, because its order is carried out unpaid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceDeferred {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
}

/// The payment of an invoice failed, and the invoice stays due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionFailed {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Failed payment.
    pub payment_id: Uuid,
    /// Reason of the failure.
    pub cause: CollectionFailure,
}

/// A further payment is to collect the open amount of an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionRequested {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Number of the payment among those of the invoice; 2 is the first further payment.
    pub attempt: u32,
    /// Customer who owes the invoice.
    pub customer_id: Uuid,
    /// Amount to be collected.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Payment method, in the payment provider's terms.
    pub payment_method: String,
}

/// A credit note over the whole remaining amount voided an invoice. The invoice keeps its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceVoided {
    /// Voided invoice.
    pub invoice_id: InvoiceId,
    /// Orders that the invoice covers.
    pub order_ids: Vec<Uuid>,
    /// Credit note that voids the invoice.
    pub credit_note_id: InvoiceId,
    /// Number of the credit note.
    pub credit_note_number: String,
    /// Reason of the voiding.
    pub reason: VoidReason,
}

/// Money paid on an invoice was refunded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRefunded {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Refunded payment.
    pub payment_id: Uuid,
    /// Refunded amount.
    pub amount: Decimal,
    /// Refund.
    pub refund_id: Uuid,
}

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A claim for money.
    Invoice,
    /// The reversal of an invoice, in whole or in part.
    CreditNote,
}

/// The status of an imported document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Issued and not settled.
    Issued,
    /// Settled.
    Paid,
    /// Reversed by a credit note.
    Voided,
}

/// A document in a legacy system. Billing keeps its number and totals and recomputes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedInvoice {
    /// Status of the document.
    pub status: DocumentStatus,
    /// Reason of the voiding, if the legacy system withdrew the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_reason: Option<Personal<String>>,
    /// Kind of the document.
    pub kind: DocumentKind,
    /// Number in the legacy system.
    pub number: String,
    /// Day of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Customer of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// Orders that the document covers.
    #[serde(default)]
    pub order_ids: Vec<Uuid>,
    /// Invoices that the document reverses.
    #[serde(default)]
    pub credits: Vec<Uuid>,
    /// Credit notes that reverse the document.
    #[serde(default)]
    pub credited_by: Vec<Uuid>,
    /// Total before tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_net: Option<Decimal>,
    /// Total tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_vat: Option<Decimal>,
    /// Total including tax; negative on a credit note.
    pub total: Decimal,
    /// Tax per VAT rate.
    #[serde(default)]
    pub vat: Vec<VatTotal>,
    /// Amount paid.
    pub paid: Decimal,
    /// Codes of irregularities, such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A document of a legacy system was imported. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceImported {
    /// Document.
    pub invoice_id: InvoiceId,
    /// Origin in the legacy system.
    pub legacy: LegacyReference,
    /// State in the legacy system.
    pub state: ImportedInvoice,
}

/// An imported document changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRevised {
    /// Document.
    pub invoice_id: InvoiceId,
    /// Origin in the legacy system.
    pub legacy: LegacyReference,
    /// Complete state in the legacy system after the change.
    pub state: ImportedInvoice,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
}
