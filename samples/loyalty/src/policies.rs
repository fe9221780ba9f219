//! What the module does when others' events happen.

use kernel::codec::Envelope;
use kernel::execution::{Cause, Environment};
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use loyalty_contract::PointsEarned;
use orders_contract::OrderPlaced;
use rust_decimal::prelude::ToPrimitive as _;

use crate::domain::{CardDecider, Command};

kernel::event_set! {
    /// What earns points.
    pub enum OrderEvent { Placed(OrderPlaced) }
}

/// Gives a point for every whole euro, or whatever the order's currency is.
pub struct Earning(
    /// Where the commands go.
    pub Environment,
);

impl Reaction for Earning {
    type Event = OrderEvent;

    const NAME: &'static str = "loyalty.earning";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<OrderEvent>, cause: Cause) -> Result<(), ReactionError> {
        let OrderEvent::Placed(OrderPlaced { customer_id, order_id, total, .. }) = &event.event;
        let (customer_id, order_id) = (*customer_id, *order_id);
        let points = total.trunc().to_u32().unwrap_or_default();
        let earn = Command::Earn(PointsEarned { customer_id, order_id, points });
        let outcome = self.0.execute::<CardDecider>(customer_id, earn, &cause, None).await;
        // No refusal is expected: any is parked.
        tolerate(outcome, |_| None)
    }
}
