//! What follows when a customer is erased: the keys of everything personal in the log are destroyed,
//! and what this module keeps beside the log goes.
//!
//! The event is first, so that all of this happens surely: a crash at any step repeats it. Other
//! modules clean up after themselves.

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

/// The name of the policy.
pub const NAME: &str = "customers.erasure";

kernel::event_set! {
    /// Who was erased.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Destroys keys and cleans up.
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
