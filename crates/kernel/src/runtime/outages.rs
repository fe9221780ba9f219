//! What subscriptions tell people of together: one line in the log when it begins, one when it ends.

use crate::log::outage::Outage;

/// Subscriptions that go on by themselves as soon as they can.
pub(super) static INTERRUPTED: Outage = Outage::new("subscriptions are interrupted");

/// Subscriptions that end a tenure without saving what they finished.
pub(super) static UNSAVED: Outage = Outage::new("checkpoints could not be saved");

/// Subscriptions whose lease other replicas have to wait for.
pub(super) static UNRELEASED: Outage =
    Outage::new("leases could not be released and have to expire");
