//! The directory: every customer as it stands now, one row each.

use chrono::{DateTime, Utc};
use customers_contract::{
    CustomerContactChanged, CustomerId, CustomerRegistered, ImportedCustomer,
};
use database::{Database, Query, Statement, Transaction};
use event_contract::{LegacyReference, Personal};
use kernel::codec::Envelope;
use kernel::event::RecordedEvent;
use kernel::keys::SecretKey;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;
use web_api::listing;

use crate::domain::Event;
use crate::lookup::EmailKey;
use crate::queries::{Kind, Status};

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const REGISTER: Statement = Statement::Same(
        "INSERT INTO customer (id, position, revision, registered_at, kind, status, \
         name, email, email_key, phone, address, vat_number, owner, flags) \
         VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, 'bascule', '[]')",
    );
    const IMPORT: Statement = Statement::Same(
        "INSERT INTO customer (id, revision, kind, status, closed_reason, number, \
         name, email, email_key, phone, address, vat_number, legacy_source, legacy_id, flags, \
         owner, position, registered_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'legacy', $16, $17)",
    );
    const REVISE: Statement = Statement::Same(
        "UPDATE customer SET revision = $2, kind = $3, status = $4, \
         closed_reason = $5, number = $6, name = $7, email = $8, email_key = $9, phone = $10, \
         address = $11, vat_number = $12, legacy_source = $13, legacy_id = $14, flags = $15, \
         registered_at = COALESCE($16, registered_at) WHERE id = $1",
    );
    const CONTACT: Statement = Statement::Same(
        "UPDATE customer SET revision = $2, name = $3, email = $4, email_key = $5, \
         phone = $6 WHERE id = $1",
    );
    const ADDRESS: Statement =
        Statement::Same("UPDATE customer SET revision = $2, address = $3 WHERE id = $1");
    const CLOSE: Statement = Statement::Same(
        "UPDATE customer SET revision = $2, status = 'closed', closed_reason = $3 WHERE id = $1",
    );
    const ERASE: Statement = Statement::Same("DELETE FROM customer WHERE id = $1");
}

/// Folds customers' events into the table `customer`.
#[derive(Clone)]
pub struct Directory {
    lookup_key: SecretKey,
}

impl Directory {
    /// A directory whose e-mail addresses are found through this key.
    pub fn new(lookup_key: SecretKey) -> Self {
        Self { lookup_key }
    }

    fn email_key(&self, email: Option<&String>) -> Option<Vec<u8>> {
        email.map(|email| EmailKey::of(&self.lookup_key, email).as_bytes().to_vec())
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
        let (id, statement) = match &envelope.event {
            Event::Registered(event) => {
                let register = transaction.query(&REGISTER);
                (event.customer_id, self.register(register, event, recorded))
            }
            Event::Imported(event) => {
                let import = of(transaction, &IMPORT, event.customer_id, recorded);
                let statement = self
                    .imported(import, &event.legacy, &event.state)
                    .bind(recorded.position.cast_signed())
                    .bind(since(&event.state).unwrap_or(recorded.metadata.occurred_at));
                (event.customer_id, statement)
            }
            Event::Revised(event) => {
                let revise = of(transaction, &REVISE, event.customer_id, recorded);
                let revise = self.imported(revise, &event.legacy, &event.state);
                (event.customer_id, revise.bind(since(&event.state)))
            }
            Event::ContactChanged(event) => {
                let change = of(transaction, &CONTACT, event.customer_id, recorded);
                (event.customer_id, self.contact(change, event))
            }
            Event::AddressChanged(event) => {
                let change = of(transaction, &ADDRESS, event.customer_id, recorded);
                (event.customer_id, change.bind_json(&known(Some(&event.address))))
            }
            Event::Erased(event) => {
                transaction.query(&ERASE).bind(event.customer_id.as_uuid()).execute().await?;
                return Ok(());
            }
            Event::Closed(event) => {
                let close = of(transaction, &CLOSE, event.customer_id, recorded);
                (event.customer_id, close.bind(known(Some(&event.reason))))
            }
        };
        if statement.execute().await? != 1 {
            return Err(Unknown { what: "customer", id: id.as_uuid() }.into());
        }
        Ok(())
    }
}

/// Since when a legacy system has had a customer, where it says so.
fn since(state: &ImportedCustomer) -> Option<DateTime<Utc>> {
    state.since.map(|day| listing::kept(listing::start_of(day)))
}

/// A statement about one customer: `$1` is its id, `$2` its revision.
fn of<'c>(
    transaction: &'c mut Transaction,
    statement: &Statement,
    id: CustomerId,
    recorded: &RecordedEvent,
) -> Query<'c> {
    transaction.query(statement).bind(id.as_uuid()).bind(recorded.revision.cast_signed())
}

impl Directory {
    fn register<'c>(
        &self,
        statement: Query<'c>,
        event: &CustomerRegistered,
        recorded: &RecordedEvent,
    ) -> Query<'c> {
        let email = known(Some(&event.email));
        statement
            .bind(event.customer_id.as_uuid())
            .bind(recorded.position.cast_signed())
            .bind(recorded.revision.cast_signed())
            .bind(recorded.metadata.occurred_at)
            .bind(Kind::from(event.kind).as_str())
            .bind(known(Some(&event.name)))
            .bind(email)
            .bind(self.email_key(email))
            .bind(known(event.phone.as_ref()))
            .bind_json(&known(Some(&event.address)))
            .bind(known(event.vat_number.as_ref()))
    }

    fn contact<'c>(&self, statement: Query<'c>, event: &CustomerContactChanged) -> Query<'c> {
        let email = known(Some(&event.email));
        statement
            .bind(known(Some(&event.name)))
            .bind(email)
            .bind(self.email_key(email))
            .bind(known(event.phone.as_ref()))
    }

    fn imported<'c>(
        &self,
        statement: Query<'c>,
        legacy: &LegacyReference,
        state: &ImportedCustomer,
    ) -> Query<'c> {
        let email = known(state.email.as_ref());
        statement
            .bind(Kind::from(state.kind).as_str())
            .bind(Status::from(state.status).as_str())
            .bind(known(state.closed_reason.as_ref()))
            .bind(&state.number)
            .bind(known(state.name.as_ref()))
            .bind(email)
            .bind(self.email_key(email))
            .bind(known(state.phone.as_ref()))
            .bind_json(&known(state.address.as_ref()))
            .bind(known(state.vat_number.as_ref()))
            .bind(&legacy.source)
            .bind(&legacy.id)
            .bind_json(&state.flags)
    }
}

/// The value, unless there is none or it was erased.
fn known<T>(value: Option<&Personal<T>>) -> Option<&T> {
    value.and_then(Personal::known)
}
