//! The directory: one row per customer, with the customer's current state.

use database::{Database, Transaction};
use event_contract::Personal;
use kernel::codec::Envelope;
use kernel::keys::SecretKey;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;

use crate::domain::Event;
use crate::lookup::EmailKey;
use crate::queries::directory;

/// Folds the events of customers into the table `customer`.
#[derive(Clone)]
pub struct Directory {
    lookup_key: SecretKey,
}

impl Directory {
    /// Creates a directory whose e-mail addresses are found by digests under this key.
    pub fn new(lookup_key: SecretKey) -> Self {
        Self { lookup_key }
    }

    fn email_key(&self, email: &Personal<String>) -> Option<EmailKey> {
        email.known().map(|email| EmailKey::of(&self.lookup_key, email))
    }
}

impl Projection for Directory {
    type Store = Database;
    type Event = Event;

    const NAME: &'static str = "customers.directory";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        envelope: &Envelope<Event>,
    ) -> Result<(), BoxError> {
        let recorded = &*envelope.recorded;
        let (id, written) = match &envelope.event {
            Event::Registered(event) => {
                let key = self.email_key(&event.email);
                let written = directory::register(transaction, event, key, recorded).await?;
                (event.customer_id, written)
            }
            Event::Imported(event) => {
                let key = event.state.email.as_ref().and_then(|email| self.email_key(email));
                let written = directory::import(transaction, event, key, recorded).await?;
                (event.customer_id, written)
            }
            Event::Revised(event) => {
                let key = event.state.email.as_ref().and_then(|email| self.email_key(email));
                let written = directory::revise(transaction, event, key, recorded).await?;
                (event.customer_id, written)
            }
            Event::ContactChanged(event) => {
                let key = self.email_key(&event.email);
                let written = directory::change_contact(transaction, event, key, recorded).await?;
                (event.customer_id, written)
            }
            Event::AddressChanged(event) => {
                let written = directory::change_address(transaction, event, recorded).await?;
                (event.customer_id, written)
            }
            Event::Closed(event) => {
                (event.customer_id, directory::close(transaction, event, recorded).await?)
            }
            Event::Erased(event) => {
                directory::erase(transaction, event.customer_id).await?;
                return Ok(());
            }
        };
        match written {
            true => Ok(()),
            false => Err(Unknown { what: "customer", id: id.as_uuid() }.into()),
        }
    }
}
