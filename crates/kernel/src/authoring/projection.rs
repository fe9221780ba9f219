//! Projections: read models folded from the log. Rows and checkpoint move in one transaction of
//! the module's own database.

use uuid::Uuid;

use super::checkpoint::SubscriptionStore;
use super::codec::{Envelope, EventSet};
use crate::log::store::BoxError;

/// A read model and how events change it. Implementations write `async fn project`.
pub trait Projection: Send + Sync + 'static {
    /// The database its rows are in.
    type Store: SubscriptionStore;
    /// The events it reads.
    type Event: EventSet;

    /// `<module>.<read model>`. Its checkpoint is kept under it and the version.
    const NAME: &'static str;

    /// Raised when the same events are to give other rows, and when it reads events that it did not
    /// read before: the read model is built anew, beside the one of the version before.
    const VERSION: u32;

    /// The tables that its rows are in, of the module's database. A table that refers to another comes
    /// after it. No other projection writes to them.
    const TABLES: &'static [&'static str];

    /// The event families (`orders.OrderPlaced`) that this version once read and does not read any
    /// more. What is neither read nor retired waits for a replica that reads it.
    const RETIRED_FAMILIES: &'static [&'static str] = &[];

    /// Applies one event to the rows.
    fn project(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        event: &Envelope<Self::Event>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Applies several events, in their order, to the same end as one after the other. Worth
    /// overriding where catching up must be fast: read the rows of all of them at once, change them
    /// in memory, write them at once.
    fn project_all(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        events: &[&Envelope<Self::Event>],
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        async move {
            for event in events {
                self.project(transaction, event).await?;
            }
            Ok(())
        }
    }
}

/// An event speaks of something that the read model has never heard of.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} {id} in the read model: its first event is missing or parked")]
pub struct Unknown {
    /// What it is, for people.
    pub what: &'static str,
    /// Its id.
    pub id: Uuid,
}
