//! Which of several replicas runs a subscription: the one that holds its lease.
//!
//! The lease stands in the row of the checkpoint. Its *fencing token* is new at every acquisition
//! and never comes again, also not after a database has lost its last commits; every transaction
//! that moves the checkpoint names it. So a replica that was paused past its lease and goes on
//! changes nothing (M. Kleppmann, "How to do distributed locking", 2016; as the token is compared
//! for equality in the transaction itself, it need not grow).
//!
//! Policies and reactors act outside that transaction. What a late one still does is recognised by
//! reaction ids and idempotency keys.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use crate::log::seams::new_id;

/// The longest that a lease may last. Whoever finds one that ends later knows that a clock was wrong.
pub const LONGEST: Duration = Duration::from_secs(600);

/// How this process runs its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// What people know this process by, among the replicas.
    pub replica: String,
    /// How long the others wait for this replica when it says nothing any more.
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
    /// The name of one runner of this process: no two are the same, so that a process that has
    /// started anew is not taken for the one before.
    pub(crate) fn owner(&self) -> String {
        let id = new_id().simple().to_string();
        // The random part of a UUIDv7.
        format!("{} ({})", self.replica, &id[20..])
    }

    /// How often an owner looks after its lease, and a standby for one that is free.
    pub(crate) fn tick(&self) -> Duration {
        (self.lease_ttl / 4).min(Duration::from_secs(1))
    }
}

/// The right to run a subscription, as long as nobody else has acquired it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The subscription.
    pub subscription: String,
    /// Who has it.
    pub owner: String,
    /// Fences every transaction of the owner.
    pub token: Uuid,
    /// How long it lasts after each renewal.
    pub ttl: Duration,
    /// Where the checkpoint was when the lease was acquired.
    pub checkpoint: Checkpoint,
    /// The event families to read: all that any replica ever wanted.
    pub families: BTreeSet<String>,
}

/// A lease as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Who has it.
    pub owner: String,
    /// Its fencing token.
    pub token: Uuid,
    /// Until when, unless it is renewed.
    pub expires_at: DateTime<Utc>,
    /// Whether it has expired, by the clock that decides.
    pub expired: bool,
    /// Whether it was given away with its module: the owner runs it on a database of its own, and it
    /// never expires here.
    pub handed_over: bool,
}

impl LeaseStatus {
    /// Whether somebody else has the lease.
    pub(crate) fn is_of_another_than(&self, owner: &str) -> bool {
        self.owner != owner && !self.expired
    }
}
