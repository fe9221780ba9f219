//! The module's entrance for imported customers: `customers.SyncCustomer`.

use async_trait::async_trait;
use kernel::execution::ExecuteError;
use kernel::sync::{LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde_json::Value;

use crate::domain::imported::{LegacyCustomer, Report};
use crate::domain::{Command, Event, Refusal};
use crate::handlers::Customers;

/// The command's name, which a mapping refers to.
pub const COMMAND: &str = "customers.SyncCustomer";

/// Takes over what a legacy system says of its customers.
pub struct SyncCustomer(Customers);

impl SyncCustomer {
    /// Gives the commands to these customers.
    pub fn new(customers: Customers) -> Self {
        Self(customers)
    }
}

#[async_trait]
impl SyncTarget for SyncCustomer {
    fn command(&self) -> &'static str {
        COMMAND
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let SyncRequest { id, legacy, state, cause } = request;
        let (report, absent) = match state {
            LegacyState::Present(state) => (Report::Present(Box::new(understand(state)?)), false),
            LegacyState::Absent { reason } => (Report::Absent { reason }, true),
        };
        let command = Command::Sync { customer_id: id, legacy, report };
        let done = match self.0.carry_out(id, command, &cause, None).await {
            Ok(done) => done,
            Err(ExecuteError::Refused(Refusal::OwnedByBascule)) => {
                return Ok(SyncOutcome::Conflict);
            }
            Err(error) => return Err(SyncError::Failed(error.into())),
        };
        Ok(match done.events.into_iter().next() {
            Some(Event::Revised(revised)) => SyncOutcome::Revised(revised.changed),
            Some(_) => SyncOutcome::Imported,
            None if absent && done.before.owner().is_none() => SyncOutcome::Ignored,
            None => SyncOutcome::Unchanged,
        })
    }
}

/// Reads the state that a mapping's program returned. Errors name the field and never quote its
/// value, which may be personal.
fn understand(state: Value) -> Result<LegacyCustomer, SyncError> {
    serde_path_to_error::deserialize(state).map_err(|error| {
        let path = error.path().to_string();
        // serde quotes the names of unknown fields, but values only in its other messages.
        let cause = error.inner().to_string();
        SyncError::NotUnderstood(if cause.starts_with("unknown field") {
            format!("{COMMAND} has no field `{path}`")
        } else {
            format!("`{path}` is not what {COMMAND} takes there")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn complaint(state: Value) -> String {
        understand(state).expect_err("it was understood").to_string()
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_never_quoted() {
        let complaints = [
            (
                json!({"name": ["Ada Martin"]}),
                "`name` is not what customers.SyncCustomer takes there",
            ),
            (json!({"kind": "ada"}), "`kind` is not what customers.SyncCustomer takes there"),
            (
                json!({"address": {"city": 75002}}),
                "`address.city` is not what customers.SyncCustomer takes there",
            ),
            (json!({"mail": "ada@exemple.fr"}), "customers.SyncCustomer has no field `mail`"),
            (
                json!({"address": {"town": "Paris"}}),
                "customers.SyncCustomer has no field `address.town`",
            ),
        ];
        for (state, expected) in complaints {
            assert_eq!(complaint(state), expected);
        }
    }

    #[test]
    fn a_state_that_is_no_object_is_not_understood() {
        assert!(!complaint(json!("Ada")).contains("Ada"));
    }
}
