//! The place of one fresh fold, and the sign on it that somebody is at work there.

use std::collections::BTreeSet;

use kernel::checkpoint::{CheckpointError, Registration, SubscriptionStore as _};
use kernel::execution::Environment;
use kernel::lease::Lease;
use kernel::seams::new_id;
use kernel::subscription::SubscriptionKind;

use super::ReadModelError;
use crate::{Database, Scratch};

/// How the places of fresh folds begin.
pub(super) const SCRATCH: &str = "scratch_";
/// What the lease is kept under that says whether somebody is at work.
pub(super) const IN_USE: &str = "scratch";

/// The same tables at another place, for one fold: two at once never meet.
pub(super) struct Workplace {
    pub(super) scratch: Scratch,
    lease: Lease,
}

impl Workplace {
    pub(super) async fn beside(
        database: &Database,
        environment: &Environment,
        owner: &str,
    ) -> Result<Self, ReadModelError> {
        let run = new_id().simple().to_string();
        // The random part of a UUIDv7: schemas' names are short.
        let scratch = database.beside(&format!("{SCRATCH}{}", &run[20..])).await?;
        match sign(&scratch, environment, owner).await {
            Ok(lease) => Ok(Self { scratch, lease }),
            Err(error) => {
                remove(scratch).await;
                Err(error.into())
            }
        }
    }

    /// Shows that the work goes on, for as long as it is waited for.
    pub(super) async fn keep(&self) -> ReadModelError {
        loop {
            tokio::time::sleep(self.lease.ttl / 3).await;
            match self.scratch.renew(&self.lease).await {
                Ok(()) => {}
                Err(error @ CheckpointError::LeaseLost { .. }) => return error.into(),
                // While its rows are taken over nobody can write there.
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the lease of a fresh fold could not be renewed"
                ),
            }
        }
    }

    /// Takes it away. What is left behind goes with [`super::prune_scratches`].
    pub(super) async fn remove(self) {
        remove(self.scratch).await;
    }
}

async fn sign(
    scratch: &Scratch,
    environment: &Environment,
    owner: &str,
) -> Result<Lease, CheckpointError> {
    let registration = Registration {
        subscription: IN_USE.to_owned(),
        kind: SubscriptionKind::Projection,
        families: BTreeSet::new(),
        log_id: environment.store.log_id(),
    };
    scratch.register(&registration).await?;
    scratch.seize(IN_USE, owner, environment.runtime.lease_ttl).await
}

async fn remove(scratch: Scratch) {
    if let Err(error) = scratch.remove().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the tables of a fresh fold could not be removed: `bascule projections prune` does it"
        );
    }
}
