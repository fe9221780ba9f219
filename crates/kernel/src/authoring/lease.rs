//! Leases: the replica that holds the lease runs the subscription.
//!
//! The lease is part of the checkpoint's row. Its *fencing token* is new at every acquisition and
//! never repeats, even after a database lost its last commits; every transaction that moves the
//! checkpoint names it. Therefore a replica that was paused beyond its lease and resumes changes
//! nothing (M. Kleppmann, "How to do distributed locking", 2016; as the token is compared for
//! equality in the transaction itself, it need not grow).
//!
//! Policies and reactors act outside that transaction. Actions of an outdated owner are recognised
//! by reaction ids and idempotency keys.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use crate::log::seams::new_id;

/// Maximum time to live of a lease. A lease that ends later proves that a clock was wrong.
pub const LONGEST: Duration = Duration::from_secs(600);

/// How this process runs its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// The name of this process among the replicas.
    pub replica: String,
    /// How long the other replicas wait for this one when it stops responding.
    pub lease_ttl: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            replica: format!("process {}", std::process::id()),
            lease_ttl: Duration::from_secs(10),
        }
    }
}

impl RuntimeOptions {
    /// Returns the unique name of one runner of this process, so that a restarted process is not
    /// taken for its predecessor.
    pub(crate) fn owner(&self) -> String {
        let id = new_id().simple().to_string();
        // The random part of a UUIDv7.
        format!("{} ({})", self.replica, &id[20..])
    }

    /// Returns how often an owner checks its lease, and a standby checks for a free one.
    pub(crate) fn tick(&self) -> Duration {
        (self.lease_ttl / 4).min(Duration::from_secs(1))
    }
}

/// The right to run a subscription until another owner acquires the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The subscription.
    pub subscription: String,
    /// The owner.
    pub owner: String,
    /// The fencing token of the owner's transactions.
    pub token: Uuid,
    /// The time to live after each renewal.
    pub ttl: Duration,
    /// The checkpoint at the time of the acquisition.
    pub checkpoint: Checkpoint,
    /// The event families to read: all that any replica has ever read.
    pub families: BTreeSet<String>,
}

/// A lease as other replicas see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The owner.
    pub owner: String,
    /// Its fencing token.
    pub token: Uuid,
    /// When it expires unless it is renewed.
    pub expires_at: DateTime<Utc>,
    /// Whether it has expired, by the authoritative clock.
    pub expired: bool,
    /// Whether it was handed over with its module: the new owner runs the subscription on a database
    /// of its own, and the lease never expires here.
    pub handed_over: bool,
}

impl LeaseStatus {
    /// Returns whether another owner holds the lease.
    pub(crate) fn is_of_another_than(&self, owner: &str) -> bool {
        self.owner != owner && !self.expired
    }
}
