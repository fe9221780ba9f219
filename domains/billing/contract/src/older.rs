//! Older versions of events: no longer written, read for ever.
//!
//! In version 1 of a voiding a payment could not be cancelled, nor an invoice written off.
//!
//! In version 1 the reason why an imported document was voided was stored in the clear.

use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal, Published};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    DocumentKind, DocumentStatus, ImportedInvoice, InvoiceId, InvoiceImported, InvoiceRevised,
    InvoiceVoided, VatTotal, VoidReason,
};

/// [`ImportedInvoice`] as version 1 of the events had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedInvoiceV1 {
    /// Where it stands.
    pub status: DocumentStatus,
    /// Why it is voided, where the legacy system took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_reason: Option<String>,
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

impl From<ImportedInvoiceV1> for ImportedInvoice {
    fn from(old: ImportedInvoiceV1) -> Self {
        Self {
            status: old.status,
            voided_reason: old.voided_reason.map(Personal::Known),
            kind: old.kind,
            number: old.number,
            date: old.date,
            currency: old.currency,
            customer_id: old.customer_id,
            order_ids: old.order_ids,
            credits: old.credits,
            credited_by: old.credited_by,
            total_net: old.total_net,
            total_vat: old.total_vat,
            total: old.total,
            vat: old.vat,
            paid: old.paid,
            flags: old.flags,
        }
    }
}

/// Version 1 of [`InvoiceImported`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceImportedV1 {
    /// The document.
    pub invoice_id: InvoiceId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said.
    pub state: ImportedInvoiceV1,
}

impl Published for InvoiceImportedV1 {
    const TYPE: &'static str = "billing.InvoiceImported.v1";
}

impl From<InvoiceImportedV1> for InvoiceImported {
    fn from(InvoiceImportedV1 { invoice_id, legacy, state }: InvoiceImportedV1) -> Self {
        Self { invoice_id, legacy, state: state.into() }
    }
}

/// Version 1 of [`InvoiceRevised`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRevisedV1 {
    /// The document.
    pub invoice_id: InvoiceId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said then, in full.
    pub state: ImportedInvoiceV1,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}

impl Published for InvoiceRevisedV1 {
    const TYPE: &'static str = "billing.InvoiceRevised.v1";
}

impl From<InvoiceRevisedV1> for InvoiceRevised {
    fn from(old: InvoiceRevisedV1) -> Self {
        let InvoiceRevisedV1 { invoice_id, legacy, state, changed } = old;
        Self { invoice_id, legacy, state: state.into(), changed }
    }
}

/// [`VoidReason`] as version 1 of [`InvoiceVoided`] had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoidReasonV1 {
    /// Its order was cancelled.
    OrderCancelled,
    /// Its payment was declined.
    PaymentDeclined,
    /// Its payment did not arrive in time.
    PaymentExpired,
}

impl From<VoidReasonV1> for VoidReason {
    fn from(old: VoidReasonV1) -> Self {
        match old {
            VoidReasonV1::OrderCancelled => Self::OrderCancelled,
            VoidReasonV1::PaymentDeclined => Self::PaymentDeclined,
            VoidReasonV1::PaymentExpired => Self::PaymentExpired,
        }
    }
}

/// Version 1 of [`InvoiceVoided`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceVoidedV1 {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// The orders it was for.
    pub order_ids: Vec<Uuid>,
    /// The credit note that voids it.
    pub credit_note_id: InvoiceId,
    /// That credit note's number.
    pub credit_note_number: String,
    /// Why.
    pub reason: VoidReasonV1,
}

impl Published for InvoiceVoidedV1 {
    const TYPE: &'static str = "billing.InvoiceVoided.v1";
}

impl From<InvoiceVoidedV1> for InvoiceVoided {
    fn from(old: InvoiceVoidedV1) -> Self {
        let InvoiceVoidedV1 { invoice_id, order_ids, credit_note_id, credit_note_number, reason } =
            old;
        let reason = reason.into();
        Self { invoice_id, order_ids, credit_note_id, credit_note_number, reason }
    }
}
