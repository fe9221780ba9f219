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

/// The status of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The provider has not decided yet.
    Pending,
    /// The money was captured; a refund may be under way.
    Captured,
    /// The provider declined the payment.
    Declined,
    /// The deadline passed. Money captured late is being refunded.
    Expired,
    /// The payment was cancelled. Money captured late is being refunded.
    Cancelled,
    /// All the money was refunded.
    Refunded,
}

impl PaymentStatus {
    /// Returns the name in the API and in the read model.
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

/// The progress of a payment's last refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentRefundStatus)]
pub enum RefundProgress {
    /// The refund is requested.
    Requested,
    /// The money was refunded.
    Refunded,
    /// The provider refused. The money is still owed: retry the refund.
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
    /// Id of the payment.
    #[schema(value_type = Uuid)]
    id: PaymentId,
    /// Status of the payment.
    status: PaymentStatus,
    /// Invoice that the payment settles, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
    /// Amount of the payment.
    #[schema(value_type = String, format = "decimal", example = "119.76")]
    amount: Decimal,
    /// ISO 4217 currency code.
    #[schema(example = "EUR")]
    currency: String,
    /// Payment method, in the provider's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sandbox:ok")]
    method: Option<String>,
    /// Time when the payment expires if the provider has not decided by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deadline: Option<DateTime<Utc>>,
    /// Reason why the payment was declined or, in a legacy system, cancelled; absent after an erasure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The provider's reference of the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider_reference: Option<String>,
    /// Refunded amount of a payment that was requested here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = "decimal", example = "0.00")]
    refunded: Option<Decimal>,
    /// Refund that changed last; `refunds` lists all of them. The payment's status is `refunded` once
    /// everything is refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refund: Option<LastRefundView>,
    /// Day of the payment in a legacy system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    date: Option<NaiveDate>,
    /// Whether the legacy system has matched it with what it settles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reconciled: Option<bool>,
    /// Owning system.
    owner: Owner,
    /// Origin of an imported payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    legacy: Option<Legacy>,
    /// Time of the request. For an imported payment: the start of its `date` in UTC or, if the legacy
    /// system states none, the time of its first captured change.
    requested_at: DateTime<Utc>,
    /// Number of the payment's last event, counted from 0. The `ETag` begins with it.
    revision: u64,
}

/// The refund of a payment that changed last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PaymentRefund)]
pub struct LastRefundView {
    /// Progress of the refund.
    status: RefundProgress,
    /// Amount of the refund.
    #[schema(value_type = String, format = "decimal", example = "119.76")]
    amount: Decimal,
    /// The provider's reference of the refund, once it is done.
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
