//! The directory's rows, read. The statements are the same on both engines.

use customers_contract::{Address, CustomerId};
use database::{DatabaseError, Executor, Row, Statement};
use http::{Legacy, Owner};

use super::{CustomerView, Kind, Status};
use crate::lookup::EmailKey;

/// Every statement that reads, for the tests that prepare them all.
pub const STATEMENTS: &[Statement] = &[FIND, LIST, LIST_BY_EMAIL, LIST_BY_LEGACY_ID];

/// The flag of an imported customer whose e-mail address another open customer has too. It changes
/// with the others, so it is found when asked for.
const EMAIL_SHARED: &str = "email_shared";

macro_rules! select {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, position, revision, kind, status, closed_reason, number, name, email, \
             phone, address, vat_number, owner, legacy_source, legacy_id, flags, registered_at, \
             owner = 'legacy' AND EXISTS (SELECT 1 FROM customer AS other \
             WHERE other.email_key = customer.email_key AND other.status = 'open' \
             AND other.id <> customer.id) AS email_shared FROM customer WHERE ",
            $($rest),+
        )
    };
}

/// A page of the list, by what finds the fewest.
macro_rules! select_page {
    ($found_by:literal) => {
        Statement::Same(select!(
            "(status = $1 OR $1 IS NULL) AND (kind = $2 OR $2 IS NULL) \
             AND (owner = $3 OR $3 IS NULL) AND position < $4",
            $found_by,
            " ORDER BY position DESC LIMIT $5"
        ))
    };
}

const FIND: Statement = Statement::Same(select!("id = $1"));
// One statement per index, so that the planner never has to guess which filters are set.
const LIST: Statement = select_page!("");
const LIST_BY_EMAIL: Statement =
    select_page!(" AND email_key IN ($7, $8, $9) AND (legacy_id = $6 OR $6 IS NULL)");
const LIST_BY_LEGACY_ID: Statement = select_page!(" AND legacy_id = $6");

/// The lists, each with the index that must serve it, for the test that asks SQLite's planner.
pub const INDEXED_LISTS: &[(Statement, &str)] = &[
    (LIST, "position"),
    (LIST_BY_EMAIL, "customer_email"),
    (LIST_BY_LEGACY_ID, "customer_legacy"),
];

/// Which customers are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Open or closed.
    pub status: Option<Status>,
    /// Person or company.
    pub kind: Option<Kind>,
    /// Whose word counts.
    pub owner: Option<Owner>,
    /// With this e-mail address: [`EmailKey::all`].
    pub email: Option<Vec<EmailKey>>,
    /// With this key in the legacy system.
    pub legacy_id: Option<String>,
}

/// One customer.
pub async fn find<'c>(
    of: impl Executor<'c>,
    id: CustomerId,
) -> Result<Option<CustomerView>, DatabaseError> {
    let row = of.query(&FIND).bind(id).fetch_optional().await?;
    row.as_ref().map(view).transpose()
}

/// Up to `limit` customers, newest first: those whose first event is before a position.
pub async fn list<'c>(
    of: impl Executor<'c>,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<CustomerView>, DatabaseError> {
    let page = |statement| {
        of.query(statement)
            .bind(filter.status.map(Status::as_str))
            .bind(filter.kind.map(Kind::as_str))
            .bind(filter.owner.map(Owner::as_str))
            .bind(before)
            .bind(limit)
    };
    let page = match (&filter.email, &filter.legacy_id) {
        (None, None) => page(&LIST),
        (Some(keys), legacy_id) => {
            let key = |index| keys.get(index).or(keys.first()).map(EmailKey::as_bytes);
            let page = page(&LIST_BY_EMAIL).bind(legacy_id);
            page.bind(key(0)).bind(key(1)).bind(key(2))
        }
        (None, Some(legacy_id)) => page(&LIST_BY_LEGACY_ID).bind(legacy_id),
    };
    page.fetch_all().await?.iter().map(view).collect()
}

fn view(row: &Row) -> Result<CustomerView, DatabaseError> {
    let address: Option<Address> = row.json("address")?;
    Ok(CustomerView {
        id: row.get("id")?,
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
        position: row.get::<i64>("position")?.cast_unsigned(),
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
