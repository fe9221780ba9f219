//! The work that takes its time: build, rebuild, verify.

use database::read_model::{ReadModelError, Rebuilt, Report, Verification};
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Catalogue, Target, UnknownSubscription};

/// What is to be done with a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Fold the log to its end.
    Build,
    /// Fold it afresh and replace the rows; of a policy or reactor: begin again.
    Rebuild,
    /// Fold it afresh and compare the rows.
    Verify,
}

impl Work {
    /// Its name, as in the command and in the route.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Rebuild => "rebuild",
            Self::Verify => "verify",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The rows show everything up to here.
    Built {
        /// The position.
        position: u64,
    },
    /// The rows were made anew.
    Rebuilt(Rebuilt),
    /// A policy or reactor begins again at the start of the log. What it did already is recognised.
    Restarted,
    /// The rows were compared.
    Verified(Verification),
}

/// Why something cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is none of this name.
    #[error(transparent)]
    Unknown(#[from] UnknownSubscription),
    /// It has no rows.
    #[error("{subscription} is no projection: there are no rows to {}", .work.as_str())]
    NoRows {
        /// Its name.
        subscription: String,
        /// What was asked for.
        work: Work,
    },
}

impl Catalogue {
    /// What to work on, by its name.
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

    /// Every projection and, for a rebuild, the policies and reactors that are stopped because the log
    /// was restored or replaced, or went back.
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
                    // It begins there anyway.
                    Ok(()) | Err(CheckpointError::Unknown { .. }) => Ok(Outcome::Restarted),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
