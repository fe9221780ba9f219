//! What the loyalty module publishes: its events and ids, nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "loyalty.PointsEarned.v1": PointsEarned;
    "loyalty.PointsSpent.v1": PointsSpent;
}

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

/// A customer spent points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsSpent {
    /// The customer.
    pub customer_id: Uuid,
    /// How many.
    pub points: u32,
}
