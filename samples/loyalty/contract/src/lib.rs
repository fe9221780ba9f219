//! What the loyalty module publishes: its events and ids, nothing else.

use event_contract::{Published, PublishedEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Every version of every event that this module publishes or ever published.
pub const CATALOGUE: &[PublishedEvent] =
    &[PublishedEvent::of::<PointsEarned>(), PublishedEvent::of::<PointsSpent>()];

/// A customer earned points by an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsEarned {
    /// The customer, who has one card.
    pub customer_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// How many.
    pub points: u32,
}

impl Published for PointsEarned {
    const TYPE: &'static str = "loyalty.PointsEarned.v1";
}

/// A customer spent points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsSpent {
    /// The customer.
    pub customer_id: Uuid,
    /// How many.
    pub points: u32,
}

impl Published for PointsSpent {
    const TYPE: &'static str = "loyalty.PointsSpent.v1";
}
