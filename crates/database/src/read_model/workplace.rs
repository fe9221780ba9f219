//! The place of one fold, with a lease that shows that a process is working there.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use kernel::checkpoint::{CheckpointError, Registration, SubscriptionStore as _};
use kernel::execution::Environment;
use kernel::lease::Lease;
use kernel::seams::new_id;
use kernel::subscription::SubscriptionKind;

use super::ReadModelError;
use crate::{Database, Scratch};

/// The prefix of the names of these places.
pub(super) const SCRATCH: &str = "scratch_";
/// The subscription name of the lease that shows that a process is working there.
pub(super) const IN_USE: &str = "scratch";

/// Digits of the time in the name of a place: milliseconds since 1970-01-01 UTC (RFC 9562 §5.7).
const TIME_DIGITS: usize = 12;
/// Digits of the name, including its random part.
const NAME_DIGITS: usize = TIME_DIGITS + 12;
/// The time within which a new place gets its lease.
const SIGNED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Returns whether a place is so new that it may not have its lease yet.
pub(super) fn is_new(suffix: &str, now: DateTime<Utc>) -> bool {
    let name = suffix.strip_prefix(SCRATCH).filter(|name| name.len() == NAME_DIGITS);
    let made = name.and_then(|name| i64::from_str_radix(&name[..TIME_DIGITS], 16).ok());
    let made = made.and_then(DateTime::from_timestamp_millis);
    made.is_some_and(|made| (now - made).abs() < SIGNED_WITHIN)
}

/// The same tables at another place, for one fold: two concurrent folds never share a place.
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
        // The time and some of the random part of a UUIDv7: names of schemas are short.
        let suffix = format!("{SCRATCH}{}{}", &run[..TIME_DIGITS], &run[20..]);
        let scratch = database.beside(&suffix).await?;
        match sign(&scratch, environment, owner).await {
            Ok(lease) => Ok(Self { scratch, lease }),
            Err(error) => {
                remove(scratch).await;
                Err(error.into())
            }
        }
    }

    /// Renews the lease for as long as the future is polled.
    pub(super) async fn keep(&self) -> ReadModelError {
        loop {
            tokio::time::sleep(self.lease.ttl / 3).await;
            match self.scratch.renew(&self.lease).await {
                Ok(()) => {}
                Err(error @ CheckpointError::LeaseLost { .. }) => return error.into(),
                // While its rows are being copied, no process can write there.
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot renew the lease of a fold; retrying"
                ),
            }
        }
    }

    /// Removes the place. [`super::prune_scratches`] removes what is left behind.
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
            "cannot remove the scratch tables of a fold; run `bascule projections prune`"
        );
    }
}
