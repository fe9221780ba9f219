//! The entrance for payments of a legacy system.

use async_trait::async_trait;
use kernel::decider::Decider as _;
use kernel::execution::{ExecuteError, Retries, UnitOfWork};
use kernel::store::AppendError;
use kernel::sync::{LegacyState, Patch, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::{Command, Event, LegacyPatch, LegacyWord, Payment, PaymentDecider, Refusal};
use crate::handlers::Payments;

/// `payments.SyncPayment`.
pub(crate) struct SyncPayment {
    pub(crate) payments: Payments,
}

#[async_trait]
impl SyncTarget for SyncPayment {
    fn command(&self) -> &'static str {
        "payments.SyncPayment"
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let word = match request.state {
            LegacyState::Present(state) => LegacyWord::Present(read(state)?),
            LegacyState::Absent { reason } => LegacyWord::Absent { reason },
        };
        let command = Command::Sync { payment_id: request.id, legacy: request.legacy, word };
        let environment = &self.payments.environment;
        let mut retries = Retries::default();
        loop {
            let mut work = UnitOfWork::new(environment, &request.cause);
            let loaded =
                self.payments.load(request.id).await.map_err(|error| failed(error.into()))?;
            if work.was_done_in(&loaded) {
                return Ok(SyncOutcome::Unchanged);
            }
            let events = match PaymentDecider::decide(&loaded.state, command.clone(), &work.context)
            {
                Ok(events) => events,
                Err(Refusal::OwnedByBascule) => return Ok(SyncOutcome::Conflict),
                Err(refusal) => return Err(SyncError::NotUnderstood(refusal.to_string())),
            };
            work.record(&loaded, &events).await.map_err(|error| failed(error.into()))?;
            match work.commit().await {
                Ok(_) => return Ok(outcome(&loaded.state, &events)),
                Err(AppendError::WrongExpectedRevision { .. }) => {
                    if !retries.again().await {
                        return Err(failed(ExecuteError::Contention));
                    }
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

fn failed(error: ExecuteError<Refusal>) -> SyncError {
    SyncError::Failed(error.into())
}

fn outcome(before: &Payment, events: &[Event]) -> SyncOutcome {
    match events.first() {
        Some(Event::Imported(_)) => SyncOutcome::Imported,
        Some(Event::Revised(revised)) => SyncOutcome::Revised(revised.changed.clone()),
        _ if *before == Payment::NotRequested => SyncOutcome::Ignored,
        _ => SyncOutcome::Unchanged,
    }
}

/// Reads what the mapping's program returned. Errors name the field and never quote its value.
fn read(state: Value) -> Result<LegacyPatch, SyncError> {
    let Value::Object(mut state) = state else {
        return Err(SyncError::NotUnderstood("the state is not an object".to_owned()));
    };
    let patch = LegacyPatch {
        status: kept_or_set(&mut state, "status")?,
        invoice_id: field(&mut state, "invoice_id")?,
        date: field(&mut state, "date")?,
        amount: kept_or_set(&mut state, "amount")?,
        currency: kept_or_set(&mut state, "currency")?,
        reconciled: field(&mut state, "reconciled")?,
        flags: field(&mut state, "flags")?,
    };
    match state.keys().next() {
        Some(unknown) => {
            Err(SyncError::NotUnderstood(format!("a payment has no field `{unknown}`")))
        }
        None => Ok(patch),
    }
}

fn field<T: DeserializeOwned>(
    state: &mut Map<String, Value>,
    name: &str,
) -> Result<Patch<T>, SyncError> {
    let Some(value) = state.remove(name) else {
        return Ok(Patch::Keep);
    };
    // The source of the error would quote the value.
    serde_json::from_value(value)
        .map_err(|_| SyncError::NotUnderstood(format!("`{name}` cannot be understood")))
}

/// A field that a payment cannot be without.
fn kept_or_set<T: DeserializeOwned>(
    state: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, SyncError> {
    match field(state, name)? {
        Patch::Keep => Ok(None),
        Patch::Set(value) => Ok(Some(value)),
        Patch::Clear => Err(SyncError::NotUnderstood(format!("`{name}` cannot be cleared"))),
    }
}

#[cfg(test)]
mod tests {
    use payments_contract::ImportedPaymentStatus;
    use serde_json::json;

    use super::*;

    fn refusal(state: Value) -> String {
        read(state).unwrap_err().to_string()
    }

    #[test]
    fn absent_keeps_null_clears_and_a_value_sets() {
        let patch = read(json!({
            "status": "captured", "amount": "12.3400", "currency": "EUR", "date": null,
            "reconciled": true
        }))
        .unwrap();
        assert_eq!(patch.status, Some(ImportedPaymentStatus::Captured));
        assert_eq!(patch.amount.unwrap().to_string(), "12.3400");
        assert_eq!(patch.date, Patch::Clear);
        assert_eq!(patch.invoice_id, Patch::Keep);
        assert_eq!(patch.reconciled, Patch::Set(true));
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_never_quoted() {
        assert_eq!(refusal(json!({"iban": "FR76"})), "a payment has no field `iban`");
        assert_eq!(refusal(json!({"amount": "Ada"})), "`amount` cannot be understood");
        assert_eq!(refusal(json!({"status": "Ada"})), "`status` cannot be understood");
        assert_eq!(refusal(json!({"amount": null})), "`amount` cannot be cleared");
        assert_eq!(refusal(json!(["Ada"])), "the state is not an object");
    }
}
