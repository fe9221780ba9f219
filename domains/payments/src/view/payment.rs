//! A payment as the API shows it.

use billing_contract::InvoiceId;
use chrono::{DateTime, NaiveDate, Utc};
use payments_contract::PaymentId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web_api::listing::start_of;
use web_api::{Legacy, Owner};

use crate::queries::payments::{LastRefund, PaymentRow};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The provider has not decided yet.
    Pending,
    /// The money was taken; while it is on its way back, too.
    Captured,
    /// The provider refused.
    Declined,
    /// The deadline passed. Should money have been taken late, it is on its way back.
    Expired,
    /// It is no longer wanted. Should money have been taken late, it is on its way back.
    Cancelled,
    /// All the money went back.
    Refunded,
}

impl PaymentStatus {
    /// Its name, as in the column and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

/// How far a refund has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentRefundStatus)]
pub enum RefundProgress {
    /// The money is to go back.
    Requested,
    /// The money is back.
    Refunded,
    /// The provider refuses. The money is still owed: retry the refund.
    Failed,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Payment, example = json!({
    "id": "6f2b4c0e-58f1-5b0f-9a53-0d8f3a1f7c21",
    "status": "captured",
    "invoice_id": "0193a1f0-6c1e-7d43-8f0a-2b9c4d5e6f70",
    "amount": "119.76",
    "currency": "EUR",
    "method": "sandbox:ok",
    "deadline": "2026-03-01T12:15:00Z",
    "provider_reference": "sandbox-ch-3f0c9c1a-7b1e-5d8e-8a54-6b1f2c3d4e5f",
    "owner": "bascule",
    "requested_at": "2026-03-01T12:00:00Z",
    "revision": 1
}))]
pub struct PaymentView {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: PaymentId,
    /// Where it stands.
    status: PaymentStatus,
    /// The invoice it is for, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
    /// How much.
    #[schema(value_type = String, format = "decimal", example = "119.76")]
    amount: Decimal,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: String,
    /// How it is paid, as the provider understands it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sandbox:ok")]
    method: Option<String>,
    /// When it is given up if the provider has not decided by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deadline: Option<DateTime<Utc>>,
    /// Why it was declined or, in a legacy system, taken back; absent when it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The provider's own reference of the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider_reference: Option<String>,
    /// What went back of it, of a payment that was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = "decimal", example = "0.00")]
    refunded: Option<Decimal>,
    /// The refund that changed last; all of them are under `refunds`. The payment's status is `refunded`
    /// once everything is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refund: Option<LastRefundView>,
    /// When it came, in a legacy system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    date: Option<NaiveDate>,
    /// Whether the legacy system has matched it with what it settles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reconciled: Option<bool>,
    /// Which system owns it.
    owner: Owner,
    /// Where it comes from, if from a legacy system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    legacy: Option<Legacy>,
    /// When it was requested. Of an imported payment the start of its `date` in UTC, or, where the legacy
    /// system does not say, when its first change was made that was captured.
    requested_at: DateTime<Utc>,
    /// Counts the events of this payment from 0. The `ETag` begins with it.
    revision: u64,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PaymentRefund)]
pub struct LastRefundView {
    /// How far it is.
    status: RefundProgress,
    /// How much.
    #[schema(value_type = String, format = "decimal", example = "119.76")]
    amount: Decimal,
    /// The provider's own reference of the refund, once it is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
}

impl From<PaymentRow> for PaymentView {
    fn from(row: PaymentRow) -> Self {
        let details = row.details;
        let legacy = row.legacy_source.zip(row.legacy_id);
        Self {
            id: row.id,
            status: row.status,
            invoice_id: row.invoice_id,
            amount: details.amount,
            currency: details.currency,
            method: details.method,
            deadline: details.deadline,
            reason: details.reason,
            provider_reference: details.provider_reference,
            refunded: (row.owner == Owner::Bascule).then(|| {
                details.refunded.unwrap_or_else(|| Decimal::new(0, details.amount.scale()))
            }),
            refund: details.refund.map(LastRefundView::from),
            date: details.date,
            reconciled: details.reconciled,
            owner: row.owner,
            legacy: legacy.map(|(source, id)| Legacy { source, id, flags: details.flags }),
            requested_at: details.date.map_or(details.requested_at, start_of),
            revision: row.revision,
        }
    }
}

impl From<LastRefund> for LastRefundView {
    fn from(refund: LastRefund) -> Self {
        Self { status: refund.status, amount: refund.amount, reference: refund.reference }
    }
}
