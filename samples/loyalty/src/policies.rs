//! Reactions to events of other modules.

use kernel::codec::Envelope;
use kernel::execution::{Cause, Environment};
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use loyalty_contract::{CardId, PointsEarned};
use orders_contract::OrderPlaced;
use rust_decimal::prelude::ToPrimitive as _;

use crate::domain::{CardDecider, Command};

kernel::event_set! {
    /// Events that earn points.
    pub enum OrderEvent { Placed(OrderPlaced) }
}

/// Adds a point for every whole unit of the order's currency.
pub struct Earning(
    /// Executes the commands.
    pub Environment,
);

impl Reaction for Earning {
    type Event = OrderEvent;

    const NAME: &'static str = "loyalty.earning";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<OrderEvent>, cause: Cause) -> Result<(), ReactionError> {
        let OrderEvent::Placed(OrderPlaced { customer_id, order_id, total, .. }) = &event.event;
        let (card_id, order_id) = (CardId::from(*customer_id), order_id.as_uuid());
        let points = total.trunc().to_u32().unwrap_or(u32::MAX);
        let earn = Command::Earn(PointsEarned { card_id, order_id, points });
        let outcome = self.0.execute::<CardDecider>(card_id, earn, &cause, None).await;
        // No refusal is expected: each one parks the event.
        tolerate(outcome, |_| None)
    }
}
