//! The directory: every customer as it stands now, one row each.

use async_trait::async_trait;
use customers_contract::{
    Address, CustomerContactChanged, CustomerId, CustomerRegistered, ImportedCustomer,
};
use database::{Database, Transaction};
use event_contract::{LegacyReference, Personal};
use kernel::codec::Envelope;
use kernel::event::RecordedEvent;
use kernel::keys::SecretKey;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use crate::domain::Event;
use crate::lookup::EmailKey;
use crate::queries::{Kind, Status};

/// Statements over [`Directory`]'s rows, for the test that prepares them all.
pub const STATEMENTS: &[&str] = &[REGISTER, IMPORT, REVISE, CONTACT, ADDRESS, CLOSE];

const REGISTER: &str = "INSERT INTO customer (id, position, revision, registered_at, kind, status, \
     name, email, email_key, phone, address, vat_number, owner, flags) \
     VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, 'bascule', '[]')";
const IMPORT: &str = "INSERT INTO customer (id, revision, kind, status, closed_reason, number, \
     name, email, email_key, phone, address, vat_number, legacy_source, legacy_id, flags, \
     owner, position, registered_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'legacy', $16, $17)";
const REVISE: &str = "UPDATE customer SET revision = $2, kind = $3, status = $4, \
     closed_reason = $5, number = $6, name = $7, email = $8, email_key = $9, phone = $10, \
     address = $11, vat_number = $12, legacy_source = $13, legacy_id = $14, flags = $15 \
     WHERE id = $1";
const CONTACT: &str = "UPDATE customer SET revision = $2, name = $3, email = $4, email_key = $5, \
     phone = $6 WHERE id = $1";
const ADDRESS: &str = "UPDATE customer SET revision = $2, address = $3 WHERE id = $1";
const CLOSE: &str =
    "UPDATE customer SET revision = $2, status = 'closed', closed_reason = $3 WHERE id = $1";

/// Folds customers' events into the table `customer`.
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

#[async_trait]
impl Projection for Directory {
    type Store = Database;
    type Event = Event;

    fn name(&self) -> &'static str {
        "customers.directory"
    }

    fn version(&self) -> u32 {
        1
    }

    async fn project(
        &self,
        transaction: &mut Transaction,
        envelope: &Envelope<Event>,
    ) -> Result<(), BoxError> {
        let recorded = &*envelope.recorded;
        let (id, statement) = match &envelope.event {
            Event::Registered(event) => (event.customer_id, self.register(event, recorded)?),
            Event::Imported(event) => {
                let statement = self.imported(
                    IMPORT,
                    event.customer_id,
                    &event.legacy,
                    &event.state,
                    recorded,
                )?;
                let statement = statement
                    .bind(recorded.position.cast_signed())
                    .bind(recorded.metadata.occurred_at);
                (event.customer_id, statement)
            }
            Event::Revised(event) => {
                let id = event.customer_id;
                (id, self.imported(REVISE, id, &event.legacy, &event.state, recorded)?)
            }
            Event::ContactChanged(event) => (event.customer_id, self.contact(event, recorded)),
            Event::AddressChanged(event) => {
                let address = json(known(Some(&event.address)))?;
                (event.customer_id, of(ADDRESS, event.customer_id, recorded).bind(address))
            }
            Event::Closed(event) => (
                event.customer_id,
                of(CLOSE, event.customer_id, recorded).bind(known(Some(&event.reason)).cloned()),
            ),
        };
        let changed = statement.execute(&mut **transaction).await?;
        if changed.rows_affected() != 1 {
            return Err(Unknown { what: "customer", id }.into());
        }
        Ok(())
    }
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A statement about one customer: `$1` is its id, `$2` its revision.
fn of(sql: &'static str, id: CustomerId, recorded: &RecordedEvent) -> Statement {
    sqlx::query(sql).bind(id).bind(recorded.revision.cast_signed())
}

impl Directory {
    fn register(
        &self,
        event: &CustomerRegistered,
        recorded: &RecordedEvent,
    ) -> Result<Statement, BoxError> {
        let email = known(Some(&event.email));
        Ok(sqlx::query(REGISTER)
            .bind(event.customer_id)
            .bind(recorded.position.cast_signed())
            .bind(recorded.revision.cast_signed())
            .bind(recorded.metadata.occurred_at)
            .bind(Kind::from(event.kind))
            .bind(known(Some(&event.name)).cloned())
            .bind(email.cloned())
            .bind(self.email_key(email))
            .bind(known(event.phone.as_ref()).cloned())
            .bind(json(known(Some(&event.address)))?)
            .bind(known(event.vat_number.as_ref()).cloned()))
    }

    fn contact(&self, event: &CustomerContactChanged, recorded: &RecordedEvent) -> Statement {
        let email = known(Some(&event.email));
        of(CONTACT, event.customer_id, recorded)
            .bind(known(Some(&event.name)).cloned())
            .bind(email.cloned())
            .bind(self.email_key(email))
            .bind(known(event.phone.as_ref()).cloned())
    }

    fn imported(
        &self,
        sql: &'static str,
        id: CustomerId,
        legacy: &LegacyReference,
        state: &ImportedCustomer,
        recorded: &RecordedEvent,
    ) -> Result<Statement, BoxError> {
        let email = known(state.email.as_ref());
        Ok(of(sql, id, recorded)
            .bind(Kind::from(state.kind))
            .bind(Status::from(state.status))
            .bind(known(state.closed_reason.as_ref()).cloned())
            .bind(state.number.clone())
            .bind(known(state.name.as_ref()).cloned())
            .bind(email.cloned())
            .bind(self.email_key(email))
            .bind(known(state.phone.as_ref()).cloned())
            .bind(json(known(state.address.as_ref()))?)
            .bind(known(state.vat_number.as_ref()).cloned())
            .bind(legacy.source.clone())
            .bind(legacy.id.clone())
            .bind(serde_json::to_string(&state.flags)?))
    }
}

/// The value, unless there is none or it was erased.
fn known<T>(value: Option<&Personal<T>>) -> Option<&T> {
    value.and_then(Personal::known)
}

fn json(address: Option<&Address>) -> Result<Option<String>, BoxError> {
    Ok(address.map(serde_json::to_string).transpose()?)
}
