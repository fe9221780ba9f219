//! Long-running work on subscriptions: build, rebuild, verify.

use database::read_model::{ReadModelError, Rebuilt, Report, Verification};
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Catalogue, Target, UnknownSubscription};

/// A kind of work on a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Project the log up to its end.
    Build,
    /// Project the log again from its start and replace the rows; restart a policy or reactor.
    Rebuild,
    /// Project the log again from its start and compare the rows.
    Verify,
}

impl Work {
    /// Returns the name of the work, as in the command and in the route.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Rebuild => "rebuild",
            Self::Verify => "verify",
        }
    }
}

/// Result of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The rows are up to date.
    Built {
        /// Position up to which they are.
        position: u64,
    },
    /// The rows were rebuilt.
    Rebuilt(Rebuilt),
    /// A policy or reactor restarts at the beginning of the log. It recognises what it already did.
    Restarted,
    /// The rows were compared.
    Verified(Verification),
}

/// Error: the work is not possible for this name.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No subscription has this name.
    #[error(transparent)]
    Unknown(#[from] UnknownSubscription),
    /// The subscription has no rows.
    #[error("{subscription} is not a projection: it has no rows to {}", .work.as_str())]
    NoRows {
        /// Name of the subscription.
        subscription: String,
        /// The requested work.
        work: Work,
    },
}

impl Catalogue {
    /// Returns the target with this name.
    pub fn target_of(&self, work: Work, name: &str) -> Result<Target, TargetError> {
        let target = self.target(name)?;
        match &target {
            Target::Reaction(reaction) if work != Work::Rebuild => {
                let subscription = reaction.subscription.clone();
                Err(TargetError::NoRows { subscription, work })
            }
            _ => Ok(target),
        }
    }

    /// Returns every projection and, for a rebuild, the policies and reactors that are stopped because
    /// the log was restored or replaced, or went back.
    pub async fn all_targets(&self, work: Work) -> Result<Vec<Target>, ReadModelError> {
        let mut targets: Vec<_> =
            self.read_models().cloned().map(|one| Target::ReadModel(Box::new(one))).collect();
        if work == Work::Rebuild {
            for reaction in self.reactions() {
                let status = reaction.database.status(&reaction.subscription).await?;
                if let Some(status) = status
                    && !self.is_of_this_log(&status).await?
                {
                    targets.push(Target::Reaction(reaction));
                }
            }
        }
        Ok(targets)
    }

    /// Does the work.
    pub async fn carry_out(
        &self,
        work: Work,
        target: &Target,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Outcome, ReadModelError> {
        match (target, work) {
            (Target::ReadModel(read_model), Work::Build) => {
                let position = read_model.build(report, cancel).await?;
                Ok(Outcome::Built { position })
            }
            (Target::ReadModel(read_model), Work::Rebuild) => {
                Ok(Outcome::Rebuilt(read_model.rebuild(report, cancel).await?))
            }
            (Target::ReadModel(read_model), Work::Verify) => {
                Ok(Outcome::Verified(read_model.verify(report, cancel).await?))
            }
            (Target::Reaction(reaction), _) => {
                let log_id = self.environment.store.log_id();
                match reaction.database.restart(&reaction.subscription, log_id).await {
                    // A subscription without a checkpoint starts at the beginning anyway.
                    Ok(()) | Err(CheckpointError::Unknown { .. }) => Ok(Outcome::Restarted),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
