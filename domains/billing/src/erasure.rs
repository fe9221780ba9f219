//! Erasure of a customer: destroys the key of the customer's billing data once the law no longer
//! requires the documents, and removes what this module stores beside the log.

use customers_contract::CustomerErased;
use kernel::codec::Envelope;
use kernel::execution::Cause;
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use uuid::Uuid;
use web_api::Owner;

use crate::domain::retention::RetentionEnded;
use crate::queries::retention;
use crate::retention::Retentions;

/// The subscription's name.
pub const NAME: &str = "billing.erasure";

kernel::event_set! {
    /// The erasure of a customer, and the later end of the retention of its documents.
    pub enum ErasureEvent { Erased(CustomerErased), RetentionEnded(RetentionEnded) }
}

/// Destroys the key of an erased customer's billing data when its retention ends, and removes deleted
/// rows from the database files.
pub struct Erasure {
    pub(crate) retentions: Retentions,
    pub(crate) views: Progress,
    pub(crate) known_customers: Progress,
}

impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(
        &self,
        event: &Envelope<ErasureEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        shown(&[&self.views, &self.known_customers], &event.recorded).await?;
        let Retentions { environment, database, .. } = &self.retentions;
        match &event.event {
            ErasureEvent::Erased(CustomerErased { customer_id, .. }) => {
                if self.retentions.is_over(*customer_id).await? {
                    self.retentions.end(*customer_id, &cause).await?;
                }
                Ok(database.scrub(&["known_customer"]).await?)
            }
            ErasureEvent::RetentionEnded(RetentionEnded { customer_id }) => {
                let documents = retention::documents_of(database, *customer_id).await?;
                // While an imported document named no customer, a key of the document encrypted its
                // free text.
                let imported = documents.iter().filter(|document| document.owner == Owner::Legacy);
                let mut subjects: Vec<Uuid> =
                    imported.map(|document| document.id.as_uuid()).collect();
                subjects.push(customer_id.as_uuid());
                environment.codec.destroy_keys(&subjects, &[]).await?;
                environment.forget_memory();
                Ok(database.scrub(&["invoice_view"]).await?)
            }
        }
    }
}
