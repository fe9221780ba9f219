//! What follows when a customer is erased: the keys of everything personal in the log are destroyed,
//! and what this module keeps beside the log goes.
//!
//! The event is first, so that all of this happens surely: a crash at any step repeats it. Other
//! modules clean up after themselves.

use async_trait::async_trait;
use customers_contract::{CustomerErased, CustomerId};
use database::Database;
use kernel::codec::{Envelope, EventSet as _};
use kernel::decider::Decider as _;
use kernel::event::{Position, StreamName};
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use kernel::store::ReadError;

use crate::domain::CustomerDecider;

/// The name of the policy.
pub const NAME: &str = "customers.erasure";

kernel::event_set! {
    /// Who was erased.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Where in the log a customer's erasure stands: nothing is recorded of the customer after it.
pub async fn erased_at(
    environment: &Environment,
    customer_id: CustomerId,
) -> Result<Option<Position>, ReadError> {
    let stream = StreamName::of(CustomerDecider::CATEGORY, customer_id);
    let last = environment.store.read_last(&stream).await?;
    let erased = last.filter(|event| ErasureEvent::reads(&event.event_type));
    Ok(erased.map(|event| event.position))
}

/// Destroys keys and cleans up.
pub(crate) struct Erasure {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) directory: Progress,
    /// Modules that decide for themselves when the keys of their purpose go.
    pub(crate) retained: &'static [&'static str],
}

#[async_trait]
impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(CustomerErased { customer_id, .. }) = event.event;
        self.environment.codec.destroy_keys(&[customer_id], self.retained).await?;
        let stream = StreamName::of(CustomerDecider::CATEGORY, customer_id);
        self.environment.forget(&stream).await?;
        http::idempotency::forget(&self.database, &[customer_id]).await?;
        shown(&[&self.directory], &event.recorded).await?;
        Ok(self.database.scrub(&["customer", "idempotency"]).await?)
    }
}
