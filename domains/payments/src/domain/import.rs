//! Payments as a legacy system has them: facts, to which the rules for new payments do not apply.

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

/// How a payment stands in the legacy system.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyPatch>;

/// The fields a legacy system speaks of. What it must not clear is an `Option`: `None` keeps it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyPatch {
    /// Where it stands; captured if nothing is said. What never came is `{absent: "why"}` instead.
    #[serde(deserialize_with = "set")]
    #[schemars(with = "ImportedPaymentStatus", example = &"captured")]
    pub status: Option<ImportedPaymentStatus>,
    /// The invoice it is for: the `uid` of its root row.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub invoice_id: Patch<Uuid>,
    /// Who paid: the `uid` of the customer's root row. Why a payment was taken back is erased with this
    /// customer.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub customer_id: Patch<Uuid>,
    /// The day on which it came.
    #[schemars(example = &"2008-07-20")]
    pub date: Patch<NaiveDate>,
    /// What came.
    #[serde(deserialize_with = "set_exactly")]
    #[schemars(with = "Decimal", extend("x-required" = true), example = &"119.60")]
    pub amount: Option<Decimal>,
    /// ISO 4217 code.
    #[serde(deserialize_with = "set")]
    #[schemars(with = "String", extend("x-required" = true), example = &"EUR")]
    pub currency: Option<String>,
    /// Whether it is matched with what it settles.
    #[schemars(example = true)]
    pub reconciled: Patch<bool>,
    /// What is irregular about it, in short words that say nothing of a person.
    #[schemars(example = ["foreign_currency"])]
    pub flags: Patch<Vec<String>>,
}

/// A field that a payment cannot be without: null is not understood.
fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same of an amount, which is never rounded.
fn set_exactly<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    exactly(deserializer).map(Some)
}

/// Records what is new in a legacy system's word.
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
    // One that was taken back because it was absent is reinstated by being present again.
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
