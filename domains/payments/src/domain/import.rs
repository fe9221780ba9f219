//! Payments as a legacy system has them: facts, to which the rules for new payments do not apply.

use chrono::NaiveDate;
use event_contract::LegacyReference;
use kernel::sync::{Patch, changed_fields};
use payments_contract::{
    ImportedPayment, ImportedPaymentStatus, PaymentId, PaymentImported, PaymentRevised,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Event, Payment, Refusal};

/// What a legacy system says of a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacyWord {
    /// It is there, and this of it is known.
    Present(LegacyPatch),
    /// It is not there any more.
    Absent {
        /// Why, for people.
        reason: String,
    },
}

/// The fields a legacy system speaks of. What it must not clear is an `Option`: `None` keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LegacyPatch {
    /// Where it stands.
    pub status: Option<ImportedPaymentStatus>,
    /// The invoice it is for.
    pub invoice_id: Patch<Uuid>,
    /// When it came.
    pub date: Patch<NaiveDate>,
    /// What came.
    pub amount: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Whether it is matched with what it settles.
    pub reconciled: Patch<bool>,
    /// What is irregular about it.
    pub flags: Patch<Vec<String>>,
}

/// Records what is new in a legacy system's word.
pub(super) fn sync(
    payment: &Payment,
    payment_id: PaymentId,
    legacy: LegacyReference,
    word: LegacyWord,
) -> Result<Vec<Event>, Refusal> {
    let known = match payment {
        Payment::NotRequested => None,
        Payment::Imported { state, .. } => Some(state),
        Payment::Pending(_)
        | Payment::Captured(_)
        | Payment::Declined(_)
        | Payment::Expired(_)
        | Payment::Cancelled(_)
        | Payment::RefundPending(_)
        | Payment::Refunded(_) => return Err(Refusal::OwnedByBascule),
    };
    let state = match (known, word) {
        (None, LegacyWord::Absent { .. }) => return Ok(vec![]),
        (None, LegacyWord::Present(patch)) => {
            let state = import(patch)?;
            return Ok(vec![PaymentImported { payment_id, legacy, state }.into()]);
        }
        (Some(known), LegacyWord::Present(patch)) => revise(known.clone(), patch),
        (Some(known), LegacyWord::Absent { reason }) => take_back(known.clone(), reason),
    };
    let changed = known.map_or_else(Vec::new, |known| differences(known, &state));
    if changed.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![PaymentRevised { payment_id, legacy, state, changed }.into()])
}

fn import(patch: LegacyPatch) -> Result<ImportedPayment, Refusal> {
    Ok(ImportedPayment {
        status: patch.status.unwrap_or(ImportedPaymentStatus::Captured),
        cancelled_reason: None,
        invoice_id: patch.invoice_id.over(None),
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
        date: patch.date.over(known.date),
        amount: patch.amount.unwrap_or(known.amount),
        currency: patch.currency.unwrap_or(known.currency),
        reconciled: patch.reconciled.over(known.reconciled),
        flags: patch.flags.over(Some(known.flags)).unwrap_or_default(),
    }
}

fn take_back(known: ImportedPayment, reason: String) -> ImportedPayment {
    ImportedPayment {
        status: ImportedPaymentStatus::Cancelled,
        cancelled_reason: Some(reason),
        ..known
    }
}

/// The fields that differ. States of plain data always become JSON; should one ever not, the
/// whole state counts as changed.
fn differences(before: &ImportedPayment, after: &ImportedPayment) -> Vec<String> {
    changed_fields(before, after).unwrap_or_else(|_| vec!["state".to_owned()])
}
