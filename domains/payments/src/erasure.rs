//! What follows when a customer is erased, beside what the read model takes out of itself.

use async_trait::async_trait;
use database::Database;
use kernel::codec::Envelope;
use kernel::execution::Cause;
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use payments_contract::PaymentId;

use crate::projections::ErasureEvent;
use crate::queries;

/// The name of the subscription.
pub const NAME: &str = "payments.erasure";

/// Cleans up.
pub struct Erasure {
    pub(crate) database: Database,
    pub(crate) payments: Progress,
}

#[async_trait]
impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        shown(&[&self.payments], &event.recorded).await?;
        let payments = queries::of_customer(&self.database, customer.customer_id).await?;
        let payments: Vec<PaymentId> = payments.into_iter().map(|payment| payment.id).collect();
        http::idempotency::forget(&self.database, &payments).await?;
        Ok(self.database.scrub(&["payment", "idempotency"]).await?)
    }
}
