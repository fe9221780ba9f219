//! Projections: read models folded from the log. Rows and checkpoint move in one transaction of
//! the module's own database.

use uuid::Uuid;

use super::checkpoint::SubscriptionStore;
use super::codec::{Envelope, EventSet};
use crate::log::store::BoxError;

/// A read model and how events change it. Implementations write `async fn project`.
pub trait Projection: Send + Sync + 'static {
    /// The database that holds its rows.
    type Store: SubscriptionStore;
    /// The events it reads.
    type Event: EventSet;

    /// `<module>.<read model>`. Its checkpoint is stored under this name and the version.
    const NAME: &'static str;

    /// Raise it when the same events must produce different rows, or when the projection reads
    /// additional events: the read model is rebuilt beside the one of the previous version.
    const VERSION: u32;

    /// The tables of its rows in the module's database. A table comes after the tables that it
    /// refers to. No other projection writes to them.
    const TABLES: &'static [&'static str];

    /// The event families (`orders.OrderPlaced`) that this version once read and no longer reads. An
    /// event of a family that is neither read nor retired waits for a replica that reads it.
    const RETIRED_FAMILIES: &'static [&'static str] = &[];

    /// Applies one event to the rows.
    fn project(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        event: &Envelope<Self::Event>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Applies several events in order, with the same result as one after the other. Override it to
    /// catch up fast: read the rows of all events at once, change them in memory, write them at
    /// once.
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

/// An event refers to a row that the read model does not contain.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} {id} in the read model: its first event is missing or parked")]
pub struct Unknown {
    /// The kind of row, for the error text.
    pub what: &'static str,
    /// Its id.
    pub id: Uuid,
}
