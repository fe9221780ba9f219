//! The entrance for imported orders: `orders.SyncOrder`.

use async_trait::async_trait;
use kernel::decider::Decider as _;
use kernel::execution::{Environment, Retries, UnitOfWork};
use kernel::store::AppendError;
use kernel::sync::{LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde_json::Value;

use crate::domain::{
    Command, Event, LegacyOrder, LegacyReport, LegacyWord, Order, OrderDecider, Refusal,
};

/// Records what the legacy system says of orders.
pub struct SyncOrder {
    environment: Environment,
}

impl SyncOrder {
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
        let loaded = self.environment.load::<OrderDecider>(request.id).await.map_err(failed)?;
        let command = Command::Sync(report.clone());
        let events = match OrderDecider::decide(&loaded.state, command, &work.context) {
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
impl SyncTarget for SyncOrder {
    fn command(&self) -> &'static str {
        "orders.SyncOrder"
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let word = match &request.state {
            LegacyState::Present(state) => LegacyWord::Present(Box::new(understand(state)?)),
            LegacyState::Absent { reason } => LegacyWord::Absent { reason: reason.clone() },
        };
        let report = LegacyReport { order_id: request.id, legacy: request.legacy.clone(), word };
        let mut retries = Retries::default();
        loop {
            if let Some(outcome) = self.attempt(&report, &request).await? {
                return Ok(outcome);
            }
            if !retries.again().await {
                let contention = "too many others are changing the same order";
                return Err(SyncError::Failed(contention.into()));
            }
        }
    }
}

fn outcome(before: &Order, events: &[Event]) -> SyncOutcome {
    match (events.first(), before) {
        (Some(Event::Revised(revised)), _) => SyncOutcome::Revised(revised.changed.clone()),
        (Some(_), _) => SyncOutcome::Imported,
        (None, Order::NotPlaced) => SyncOutcome::Ignored,
        (None, _) => SyncOutcome::Unchanged,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> SyncError {
    SyncError::Failed(error.into())
}

/// Reads what the mapping's program returned.
fn understand(state: &Value) -> Result<LegacyOrder, SyncError> {
    serde_path_to_error::deserialize(state).map_err(|error| {
        let path = error.path().to_string();
        SyncError::NotUnderstood(explain(&path, &error.inner().to_string()))
    })
}

/// Says which field is wrong and what was expected, but never what was found: serde's own text
/// quotes values, and a value may be about a person.
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
            (json!({ "statuss": "confirmed" }), "statuss"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "note": { "Ada Martin": 1 } }), "note"),
            (json!({ "note": 17 }), "note"),
            (json!({ "customer_id": "Ada Martin" }), "customer_id"),
            (json!({ "date": "Ada Martin" }), "date"),
            (json!({ "total": "Ada Martin" }), "total"),
            (json!({ "comments": ["fine", { "Ada Martin": 1 }] }), "comments[1]"),
            (json!({ "lines": [{ "sku": "", "description": "Ada Martin" }] }), "quantity"),
            (
                json!({ "lines": [{ "sku": "", "description": "", "quantity": "Ada Martin", "unit_price": "1" }] }),
                "lines[0].quantity",
            ),
            (
                json!({ "lines": [{ "sku": "", "description": "", "quantity": "1", "unit_price": "1", "extra": 1 }] }),
                "extra",
            ),
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
        assert!(text.contains("confirmed") && text.contains("cancelled"), "{text}");
    }
}
