//! The directory's rows: writing, finding and listing them.

use chrono::{DateTime, Utc};
use customers_contract::{
    Address, CustomerAddressChanged, CustomerClosed, CustomerContactChanged, CustomerId,
    CustomerImported, CustomerRegistered, CustomerRevised, ImportedCustomer,
};
use database::{DatabaseError, Executor, Query, Row, Statement, Transaction};
use event_contract::{LegacyReference, Personal};
use kernel::event::RecordedEvent;
use uuid::Uuid;
use web_api::{Legacy, List, ListStatements, Owner, SortKey, listing};

use crate::lookup::EmailKey;
use crate::view::{CustomerView, Kind, Status};

/// The flag of an imported customer that shares its e-mail address with another open customer. Changes of
/// other customers affect it, so each read computes it.
const EMAIL_SHARED: &str = "email_shared";

macro_rules! select {
    () => {
        "SELECT id, position, revision, kind, status, closed_reason, number, name, email, \
         phone, address, vat_number, owner, legacy_source, legacy_id, flags, registered_at, \
         owner = 'legacy' AND EXISTS (SELECT 1 FROM customer AS other \
         WHERE other.email_key = customer.email_key AND other.status = 'open' \
         AND other.id <> customer.id) AS email_shared FROM customer WHERE "
    };
}

/// Declares a list whose most selective filter is a plain condition: a list for each index, so that the
/// engine's plan does not depend on which filters are set.
macro_rules! list {
    ($found_by:literal, $recorded:literal, $dated:literal) => {
        web_api::list_statements!(
            select: [
                select!(),
                $found_by,
                " (status = $1 OR $1 IS NULL) AND (kind = $2 OR $2 IS NULL) \
                 AND (owner = $3 OR $3 IS NULL) AND (legacy_id = $4 OR $4 IS NULL) \
                 AND (email_key = $5 OR $5 IS NULL)"
            ],
            date: "registered_at",
            end: ["$6", "$7", "$8", "$9"],
            indexes: [$recorded, $dated],
        )
    };
}

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
    const FIND: Statement = Statement::Same(concat!(select!(), "id = $1"));
}

database::statements! {
    /// Every list of this file.
    pub const LISTS: [ListStatements];

    const LIST: ListStatements = list!("", "position", "customer_registered");
    const LIST_BY_EMAIL: ListStatements =
        list!("email_key = $5 AND", "customer_email", "customer_email");
    const LIST_BY_LEGACY_ID: ListStatements =
        list!("legacy_id = $4 AND", "customer_legacy", "customer_legacy");
}

/// The filter of a list of customers. `None` matches every customer.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Status of the customers.
    pub status: Option<Status>,
    /// Kind of the customers.
    pub kind: Option<Kind>,
    /// System that owns the customers.
    pub owner: Option<Owner>,
    /// Lookup key of the e-mail address.
    pub email: Option<EmailKey>,
    /// Key of the customer in the legacy system.
    pub legacy_id: Option<String>,
}

/// Inserts the row of a customer registered here. Returns whether a row was written.
pub async fn register(
    transaction: &mut Transaction,
    event: &CustomerRegistered,
    email_key: Option<EmailKey>,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let insert = transaction
        .query(&REGISTER)
        .bind(event.customer_id.as_uuid())
        .bind(recorded.position.cast_signed())
        .bind(recorded.revision.cast_signed())
        .bind(recorded.metadata.occurred_at)
        .bind(Kind::from(event.kind).as_str())
        .bind(event.name.known())
        .bind(event.email.known())
        .bind(bytes(email_key))
        .bind(known(event.phone.as_ref()))
        .bind_json(&event.address.known())
        .bind(known(event.vat_number.as_ref()));
    is_written(insert).await
}

/// Inserts the row of an imported customer. Returns whether a row was written.
pub async fn import(
    transaction: &mut Transaction,
    event: &CustomerImported,
    email_key: Option<EmailKey>,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let insert = on_customer(transaction, &IMPORT, event.customer_id, recorded);
    let insert = imported(insert, &event.legacy, &event.state, email_key)
        .bind(recorded.position.cast_signed())
        .bind(since(&event.state).unwrap_or(recorded.metadata.occurred_at));
    is_written(insert).await
}

/// Updates the row of an imported customer. Returns whether there is one.
pub async fn revise(
    transaction: &mut Transaction,
    event: &CustomerRevised,
    email_key: Option<EmailKey>,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let update = on_customer(transaction, &REVISE, event.customer_id, recorded);
    let update = imported(update, &event.legacy, &event.state, email_key);
    is_written(update.bind(since(&event.state))).await
}

/// Updates the contact in a customer's row. Returns whether there is one.
pub async fn change_contact(
    transaction: &mut Transaction,
    event: &CustomerContactChanged,
    email_key: Option<EmailKey>,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let update = on_customer(transaction, &CONTACT, event.customer_id, recorded)
        .bind(event.name.known())
        .bind(event.email.known())
        .bind(bytes(email_key))
        .bind(known(event.phone.as_ref()));
    is_written(update).await
}

/// Updates the postal address in a customer's row. Returns whether there is one.
pub async fn change_address(
    transaction: &mut Transaction,
    event: &CustomerAddressChanged,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let update = on_customer(transaction, &ADDRESS, event.customer_id, recorded);
    is_written(update.bind_json(&event.address.known())).await
}

/// Closes the customer of a row. Returns whether there is one.
pub async fn close(
    transaction: &mut Transaction,
    event: &CustomerClosed,
    recorded: &RecordedEvent,
) -> Result<bool, DatabaseError> {
    let update = on_customer(transaction, &CLOSE, event.customer_id, recorded);
    is_written(update.bind(event.reason.known())).await
}

/// Deletes a customer's row, if there is one.
pub async fn erase(transaction: &mut Transaction, id: CustomerId) -> Result<(), DatabaseError> {
    transaction.query(&ERASE).bind(id.as_uuid()).execute().await?;
    Ok(())
}

async fn is_written(statement: Query<'_>) -> Result<bool, DatabaseError> {
    Ok(statement.execute().await? == 1)
}

/// Returns a statement on one customer: `$1` is its id, `$2` its revision.
fn on_customer<'c>(
    transaction: &'c mut Transaction,
    statement: &Statement,
    id: CustomerId,
    recorded: &RecordedEvent,
) -> Query<'c> {
    transaction.query(statement).bind(id.as_uuid()).bind(recorded.revision.cast_signed())
}

fn imported<'c>(
    statement: Query<'c>,
    legacy: &LegacyReference,
    state: &ImportedCustomer,
    email_key: Option<EmailKey>,
) -> Query<'c> {
    statement
        .bind(Kind::from(state.kind).as_str())
        .bind(Status::from(state.status).as_str())
        .bind(known(state.closed_reason.as_ref()))
        .bind(&state.number)
        .bind(known(state.name.as_ref()))
        .bind(known(state.email.as_ref()))
        .bind(bytes(email_key))
        .bind(known(state.phone.as_ref()))
        .bind_json(&known(state.address.as_ref()))
        .bind(known(state.vat_number.as_ref()))
        .bind(&legacy.source)
        .bind(&legacy.id)
        .bind_json(&state.flags)
}

/// Returns the start of the date on which an imported customer became a customer, if it is known.
fn since(state: &ImportedCustomer) -> Option<DateTime<Utc>> {
    state.since.map(|day| listing::kept(listing::start_of(day)))
}

/// Returns the value, or `None` if there is none or it was erased.
fn known<T>(value: Option<&Personal<T>>) -> Option<&T> {
    value.and_then(Personal::known)
}

fn bytes(email_key: Option<EmailKey>) -> Option<Vec<u8>> {
    email_key.map(|key| key.as_bytes().to_vec())
}

/// Returns a customer.
pub async fn find<'c>(
    executor: impl Executor<'c>,
    id: CustomerId,
) -> Result<Option<CustomerView>, DatabaseError> {
    let row = executor.query(&FIND).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(view).transpose()
}

/// Returns a page of a list of customers, each with its sort key.
pub async fn list<'c>(
    executor: impl Executor<'c>,
    filter: &Filter,
    list: &List,
) -> Result<Vec<(SortKey, CustomerView)>, DatabaseError> {
    let statements = match (&filter.email, &filter.legacy_id) {
        (None, None) => &LIST,
        (Some(_), _) => &LIST_BY_EMAIL,
        (None, Some(_)) => &LIST_BY_LEGACY_ID,
    };
    let filtered = |query: Query<'c>| {
        query
            .bind(filter.status.map(Status::as_str))
            .bind(filter.kind.map(Kind::as_str))
            .bind(filter.owner.map(Owner::as_str))
            .bind(&filter.legacy_id)
            .bind(filter.email.as_ref().map(EmailKey::as_bytes))
    };
    list.rows(executor, statements, filtered, view).await
}

fn view(row: &Row) -> Result<CustomerView, DatabaseError> {
    let address: Option<Address> = row.json("address")?;
    Ok(CustomerView {
        id: row.get::<Uuid>("id")?.into(),
        kind: row.name("kind")?,
        status: row.name("status")?,
        closed_reason: row.get("closed_reason")?,
        number: row.get("number")?,
        name: row.get("name")?,
        email: row.get("email")?,
        phone: row.get("phone")?,
        address: address.map(Into::into),
        vat_number: row.get("vat_number")?,
        owner: row.name("owner")?,
        legacy: legacy(row)?,
        registered_at: row.get("registered_at")?,
        revision: row.get::<i64>("revision")?.cast_unsigned(),
    })
}

fn legacy(row: &Row) -> Result<Option<Legacy>, DatabaseError> {
    let source: Option<String> = row.get("legacy_source")?;
    let id: Option<String> = row.get("legacy_id")?;
    let Some((source, id)) = source.zip(id) else { return Ok(None) };
    let mut flags: Vec<String> = row.json("flags")?;
    if row.get("email_shared")? {
        flags.push(EMAIL_SHARED.to_owned());
    }
    Ok(Some(Legacy { source, id, flags }))
}
