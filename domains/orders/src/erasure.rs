//! The reaction to the erasure of a customer. The projection of the order views removes the free text of
//! the customer's orders; this reaction destroys keys and deletes copies.

use customers_contract::CustomerErased;
use database::Database;
use kernel::codec::Envelope;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use uuid::Uuid;
use web_api::Owner;

use crate::domain::OrderDecider;
use crate::queries::orders;

/// Name of the subscription.
pub const NAME: &str = "orders.erasure";

kernel::event_set! {
    /// The erasure of a customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Destroys keys, and deletes snapshots and idempotency keys.
pub struct Erasure {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) views: Progress,
}

impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        shown(&[&self.views], &event.recorded).await?;
        let orders = orders::owners_of(&self.database, customer.customer_id).await?;
        // Free text of an imported order that named no customer is encrypted with a key of the order.
        let imported = orders.iter().filter(|(_, owner)| *owner == Owner::Legacy);
        let imported: Vec<Uuid> = imported.map(|(id, _)| id.as_uuid()).collect();
        if !imported.is_empty() {
            self.environment.codec.destroy_keys(&imported, &[]).await?;
        }
        for (id, _) in &orders {
            self.environment.forget(&StreamName::of(OrderDecider::CATEGORY, *id)).await?;
        }
        let all: Vec<Uuid> = orders.iter().map(|(id, _)| id.as_uuid()).collect();
        web_api::idempotency::forget(&self.database, &all).await?;
        Ok(self.database.scrub(&["order_view", "idempotency"]).await?)
    }
}
