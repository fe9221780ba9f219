//! Erasure of a customer: destroys the keys of its imported payments, and removes what this module
//! stores beside the log. The projection clears the free text of the customer's rows.

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

/// The subscription's name.
pub const NAME: &str = "payments.erasure";

kernel::event_set! {
    /// The erasure of a customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Destroys keys and removes deleted rows from the database files.
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
        // While an imported payment named no customer, a key of the payment encrypted its free text.
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
