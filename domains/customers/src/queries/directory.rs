//! The directory's rows, read. The statements are the same on both engines.

use customers_contract::{Address, CustomerId};
use database::{DatabaseError, Executor, Query, Row, Statement};
use web_api::{Legacy, List, ListStatements, Owner, SortKey};

use super::{CustomerView, Kind, Status};
use crate::lookup::EmailKey;

/// The flag of an imported customer whose e-mail address another open customer has too. It changes
/// with the others, so it is found when asked for.
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

/// A list, by what finds the fewest: one for each index, so that the planner never has to guess which
/// filters are set.
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

/// Which customers are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Open or closed.
    pub status: Option<Status>,
    /// Person or company.
    pub kind: Option<Kind>,
    /// Whose word counts.
    pub owner: Option<Owner>,
    /// With this e-mail address.
    pub email: Option<EmailKey>,
    /// With this key in the legacy system.
    pub legacy_id: Option<String>,
}

/// One customer.
pub async fn find<'c>(
    of: impl Executor<'c>,
    id: CustomerId,
) -> Result<Option<CustomerView>, DatabaseError> {
    let row = of.query(&FIND).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(view).transpose()
}

/// The wanted part of a list of customers, each with its place.
pub async fn list<'c>(
    of: impl Executor<'c>,
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
    list.rows(of, statements, filtered, view).await
}

fn view(row: &Row) -> Result<CustomerView, DatabaseError> {
    let address: Option<Address> = row.json("address")?;
    Ok(CustomerView {
        id: row.get::<uuid::Uuid>("id")?.into(),
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
