//! The contract of the loyalty module: its events and ids, nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

event_contract::id! {
    /// Identifies a card. A card has the id of its customer.
    pub CardId of "card";
}

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "loyalty.PointsEarned.v1": PointsEarned;
    "loyalty.PointsSpent.v1": PointsSpent;
}

/// A customer earned points by an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsEarned {
    /// The card.
    pub card_id: CardId,
    /// The order that earned the points.
    pub order_id: Uuid,
    /// Number of points.
    pub points: u32,
}

/// A customer spent points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsSpent {
    /// The card.
    pub card_id: CardId,
    /// Number of points.
    pub points: u32,
}
