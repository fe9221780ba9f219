//! The reaction to the erasure of a customer: it destroys the keys of the personal data in the log, and
//! deletes this module's data about the person outside of the log.
//!
//! The event is recorded first: after a crash at any step, the reaction is repeated. Other modules delete
//! their own data.

use customers_contract::CustomerErased;
use database::Database;
use kernel::codec::Envelope;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};

use crate::RETAINING;
use crate::domain::CustomerDecider;

/// Name of the subscription.
pub const NAME: &str = "customers.erasure";

kernel::event_set! {
    /// The erasure of a customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Destroys keys, and deletes snapshots and idempotency keys.
pub struct Erasure {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) directory: Progress,
}

impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(CustomerErased { customer_id, .. }) = event.event;
        self.environment.codec.destroy_keys(&[customer_id.as_uuid()], RETAINING).await?;
        let stream = StreamName::of(CustomerDecider::CATEGORY, customer_id);
        self.environment.forget(&stream).await?;
        web_api::idempotency::forget(&self.database, &[customer_id.as_uuid()]).await?;
        shown(&[&self.directory], &event.recorded).await?;
        Ok(self.database.scrub(&["customer", "idempotency"]).await?)
    }
}
