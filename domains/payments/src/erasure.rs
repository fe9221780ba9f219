//! What follows when a customer is erased, beside what the read model takes out of itself.

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

use crate::domain::PaymentDecider;
use crate::queries::payments;

/// The name of the subscription.
pub const NAME: &str = "payments.erasure";

kernel::event_set! {
    /// An erasure of a customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Cleans up.
pub struct Erasure {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) payments: Progress,
}

impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        shown(&[&self.payments], &event.recorded).await?;
        let rows = payments::of_customer(&self.database, customer.customer_id).await?;
        let all: Vec<Uuid> = rows.iter().map(|payment| payment.id.as_uuid()).collect();
        // What was said of an imported payment while it named no customer is sealed for the payment.
        let imported = rows.into_iter().filter(|payment| payment.owner == Owner::Legacy);
        let imported: Vec<Uuid> = imported.map(|payment| payment.id.as_uuid()).collect();
        if !imported.is_empty() {
            self.environment.codec.destroy_keys(&imported, &[]).await?;
        }
        for id in &imported {
            self.environment.forget(&StreamName::of(PaymentDecider::CATEGORY, *id)).await?;
        }
        web_api::idempotency::forget(&self.database, &all).await?;
        Ok(self.database.scrub(&["payment", "idempotency"]).await?)
    }
}
