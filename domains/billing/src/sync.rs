//! The entrance for imported invoices and credit notes: `billing.SyncInvoice`.

use async_trait::async_trait;
use kernel::decider::Decider as _;
use kernel::execution::{Environment, Retries, UnitOfWork};
use kernel::store::AppendError;
use kernel::sync::{LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde_json::Value;

use crate::domain::{
    Command, Event, Invoice, InvoiceDecider, LegacyInvoice, LegacyReport, LegacyWord, Refusal,
};

/// The command's name, which a mapping refers to.
pub const COMMAND: &str = "billing.SyncInvoice";

/// Records what the legacy system says of its documents.
pub struct SyncInvoice {
    environment: Environment,
}

impl SyncInvoice {
    /// An entrance into this environment.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// One try; `None` when another writer was faster.
    async fn attempt(
        &self,
        report: &LegacyReport,
        request: &SyncRequest,
    ) -> Result<Option<SyncOutcome>, SyncError> {
        let mut work = UnitOfWork::new(&self.environment, &request.cause);
        let loaded = self.environment.load::<InvoiceDecider>(request.id).await.map_err(failed)?;
        let command = Command::Sync(Box::new(report.clone()));
        let events = match InvoiceDecider::decide(&loaded.state, command, &work.context) {
            Ok(events) => events,
            Err(Refusal::OwnedByBascule) => return Ok(Some(SyncOutcome::Conflict)),
            Err(refusal @ Refusal::IncompleteReport { .. }) => {
                return Err(SyncError::NotUnderstood(refusal.to_string()));
            }
            Err(refusal) => return Err(failed(refusal)),
        };
        let outcome = outcome(&loaded.state, &events);
        work.record(&loaded, &events).await.map_err(failed)?;
        match work.commit().await {
            Ok(_) => Ok(Some(outcome)),
            Err(AppendError::WrongExpectedRevision { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

#[async_trait]
impl SyncTarget for SyncInvoice {
    fn command(&self) -> &'static str {
        COMMAND
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let word = match &request.state {
            LegacyState::Present(state) => LegacyWord::Present(Box::new(understand(state)?)),
            LegacyState::Absent { reason } => LegacyWord::Absent { reason: reason.clone() },
        };
        let report = LegacyReport { invoice_id: request.id, legacy: request.legacy.clone(), word };
        let mut retries = Retries::default();
        loop {
            if let Some(outcome) = self.attempt(&report, &request).await? {
                return Ok(outcome);
            }
            if !retries.again().await {
                let contention = "too many others are changing the same document";
                return Err(SyncError::Failed(contention.into()));
            }
        }
    }
}

fn outcome(before: &Invoice, events: &[Event]) -> SyncOutcome {
    match (events.first(), before) {
        (Some(Event::Revised(revised)), _) => SyncOutcome::Revised(revised.changed.clone()),
        (Some(_), _) => SyncOutcome::Imported,
        (None, Invoice::NotIssued) => SyncOutcome::Ignored,
        (None, _) => SyncOutcome::Unchanged,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> SyncError {
    SyncError::Failed(error.into())
}

/// Reads what the mapping's program returned.
fn understand(state: &Value) -> Result<LegacyInvoice, SyncError> {
    serde_path_to_error::deserialize(state).map_err(|error| {
        let path = error.path().to_string();
        SyncError::NotUnderstood(explain(&path, &error.inner().to_string()))
    })
}

/// Says which field is wrong and what was expected, but never what was found: serde's own text
/// quotes values.
fn explain(path: &str, problem: &str) -> String {
    // Names of fields are the mapping's or ours, so these two may be quoted.
    for kind in ["unknown field `", "missing field `"] {
        if let Some(name) = problem.strip_prefix(kind).and_then(|rest| rest.split('`').next()) {
            return format!("{kind}{name}` at `{path}`");
        }
    }
    match problem.rsplit_once(", expected ") {
        Some((_, expected)) => format!("`{path}` is not understood: expected {expected}"),
        None => format!("`{path}` is not understood"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn not_understood(state: Value) -> String {
        match understand(&state) {
            Err(SyncError::NotUnderstood(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (state, named) in [
            (json!({ "statuss": "paid" }), "statuss"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "kind": "Ada Martin" }), "kind"),
            (json!({ "number": { "Ada Martin": 1 } }), "number"),
            (json!({ "date": "Ada Martin" }), "date"),
            (json!({ "customer_id": "Ada Martin" }), "customer_id"),
            (json!({ "order_ids": ["Ada Martin"] }), "order_ids[0]"),
            (json!({ "total": "Ada Martin" }), "total"),
            (json!({ "vat": [{ "base": "1", "amount": "Ada Martin" }] }), "vat[0].amount"),
            (json!({ "vat": [{ "amount": "1" }] }), "base"),
            (json!({ "vat": [{ "base": "1", "amount": "1", "extra": 1 }] }), "extra"),
            (json!("Ada Martin"), "."),
        ] {
            let text = not_understood(state);
            assert!(text.contains(named), "{text:?} does not name {named}");
            assert!(!text.contains("Ada"), "{text:?} quotes a value");
        }
    }

    #[test]
    fn what_is_expected_is_said() {
        let text = not_understood(json!({ "status": "lost" }));
        assert!(text.contains("issued") && text.contains("voided"), "{text}");
    }
}
