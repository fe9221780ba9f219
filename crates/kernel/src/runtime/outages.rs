//! Outages that all subscriptions share: one log line when they begin, one when they end.

use crate::log::outage::Outage;

/// Subscriptions that resume by themselves as soon as possible.
pub(super) static INTERRUPTED: Outage =
    Outage::new("subscriptions_interrupted", "subscriptions are interrupted");

/// Subscriptions that end a tenure without saving completed work.
pub(super) static UNSAVED: Outage =
    Outage::new("checkpoints_unsaved", "checkpoints cannot be saved");

/// Subscriptions whose lease must expire before another replica can run them.
pub(super) static UNRELEASED: Outage =
    Outage::new("leases_unreleased", "leases cannot be released and must expire");
