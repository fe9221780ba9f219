//! Payments of a legacy system. The rules for new payments do not apply to them.

use chrono::NaiveDate;
use kernel::money::exact::exactly;
use kernel::sync::{News, Patch, compare};
use payments_contract::{
    ImportedPayment, ImportedPaymentStatus, PaymentId, PaymentImported, PaymentRevised,
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{Event, Payment, Refusal};

/// A report of a payment's state in the legacy system.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyPatch>;

/// The state of a payment in the legacy system. Absent fields keep their recorded value. Fields of type
/// `Option` are required, so null does not clear them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyPatch {
    /// Status of the payment; captured if absent from the first report. For a payment that never
    /// arrived, send `{absent: "why"}` instead.
    #[serde(deserialize_with = "set")]
    #[schemars(with = "ImportedPaymentStatus", example = &"captured")]
    pub status: Option<ImportedPaymentStatus>,
    /// Invoice that the payment settles: the `uid` of its root row.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub invoice_id: Patch<Uuid>,
    /// Customer who paid: the `uid` of the customer's root row. The reason of a cancellation is erased
    /// with this customer.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub customer_id: Patch<Uuid>,
    /// Day of the payment.
    #[schemars(example = &"2008-07-20")]
    pub date: Patch<NaiveDate>,
    /// Amount paid.
    #[serde(deserialize_with = "set_exactly")]
    #[schemars(with = "Decimal", extend("x-required" = true), example = &"119.60")]
    pub amount: Option<Decimal>,
    /// ISO 4217 currency code.
    #[serde(deserialize_with = "set")]
    #[schemars(with = "String", extend("x-required" = true), example = &"EUR")]
    pub currency: Option<String>,
    /// Whether the payment is matched with what it settles.
    #[schemars(example = true)]
    pub reconciled: Patch<bool>,
    /// Codes of irregularities, without personal data.
    #[schemars(example = ["foreign_currency"])]
    pub flags: Patch<Vec<String>>,
}

/// Reads a required field: null is an error.
fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a required amount, which is never rounded.
fn set_exactly<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    exactly(deserializer).map(Some)
}

/// Records the difference between a report and the recorded state.
pub(super) fn sync(payment: &Payment, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let known = match payment {
        Payment::NotRequested => None,
        Payment::Imported { state, .. } => Some(state),
        Payment::Pending(_)
        | Payment::Captured(_)
        | Payment::Declined(_)
        | Payment::Expired(_)
        | Payment::Cancelled(_) => return Err(Refusal::OwnedByBascule),
    };
    let LegacyReport { id, legacy, state: reported } = report;
    let payment_id = PaymentId::from(id);
    Ok(match compare(known, reported, merge, take_back)? {
        News::None => vec![],
        News::Imported(state) => vec![PaymentImported { payment_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![PaymentRevised { payment_id, legacy, state, changed }.into()]
        }
    })
}

fn merge(known: Option<&ImportedPayment>, patch: LegacyPatch) -> Result<ImportedPayment, Refusal> {
    match known {
        None => import(patch),
        Some(known) => Ok(revise(known.clone(), patch)),
    }
}

fn import(patch: LegacyPatch) -> Result<ImportedPayment, Refusal> {
    Ok(ImportedPayment {
        status: patch.status.unwrap_or(ImportedPaymentStatus::Captured),
        cancelled_reason: None,
        invoice_id: patch.invoice_id.over(None),
        customer_id: patch.customer_id.over(None),
        date: patch.date.over(None),
        amount: patch.amount.ok_or(Refusal::Incomplete("amount"))?,
        currency: patch.currency.ok_or(Refusal::Incomplete("currency"))?,
        reconciled: patch.reconciled.over(None),
        flags: patch.flags.over(None).unwrap_or_default(),
    })
}

fn revise(known: ImportedPayment, patch: LegacyPatch) -> ImportedPayment {
    // A payment that was cancelled because it was absent is reinstated when it is present again.
    let kept = if known.cancelled_reason.is_some() {
        ImportedPaymentStatus::Captured
    } else {
        known.status
    };
    ImportedPayment {
        status: patch.status.unwrap_or(kept),
        cancelled_reason: None,
        invoice_id: patch.invoice_id.over(known.invoice_id),
        customer_id: patch.customer_id.over(known.customer_id),
        date: patch.date.over(known.date),
        amount: patch.amount.unwrap_or(known.amount),
        currency: patch.currency.unwrap_or(known.currency),
        reconciled: patch.reconciled.over(known.reconciled),
        flags: patch.flags.over(Some(known.flags)).unwrap_or_default(),
    }
}

fn take_back(known: &ImportedPayment, reason: String) -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Cancelled,
        cancelled_reason: Some(reason.into()),
        ..known.clone()
    }
}
