//! The quarantine: aggregates that could not be understood or delivered, to inspect, replay or discard.

use chrono::{DateTime, Utc};
use database::{Database, DatabaseError, Executor, Row};
use kernel::sync::LegacyReference;
use serde_json::Value;
use uuid::Uuid;

use super::ledger::statements as sql;
use super::{Import, ImportError};
use crate::assembly::{Assembled, assemble};
use crate::erasure::erase;
use crate::jq::to_json;
use crate::mapping::Mapping;
use crate::mapping::roots::PERSON;
use crate::mirror::Mirror;

/// Maximum number of values shown of a document.
const SHOWN: u64 = 1_000_000;

/// The id of an aggregate in quarantine: source, kind and legacy key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineId {
    /// The legacy system's name.
    pub source: String,
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// The key of its root row in the legacy.
    pub key: String,
}

/// An aggregate that the mapping could not convert, or that its module can never accept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// The legacy system's name.
    pub source: String,
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// The key of its root row in the legacy.
    pub key: String,
    /// The reason, without data.
    pub reason: String,
    /// When it entered the quarantine.
    pub since: DateTime<Utc>,
}

impl Quarantined {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            source: row.get("source")?,
            aggregate: row.get("aggregate")?,
            key: row.get("key")?,
            reason: row.get("reason")?,
            since: row.get("since")?,
        })
    }

    /// Returns its id.
    pub fn id(&self) -> QuarantineId {
        let Self { source, aggregate, key, .. } = self;
        QuarantineId { source: source.clone(), aggregate: aggregate.clone(), key: key.clone() }
    }
}

/// The mirror's state of an aggregate in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// The document that is the input of the mapping's program.
    Document(Value),
    /// Its root row was deleted.
    Deleted,
    /// A row or value is missing; the text names it.
    Waiting(String),
}

impl Import {
    /// Returns a page of the quarantine of a mirror, of one source and kind or of all, ordered by
    /// source, kind and key, after an entry.
    pub async fn quarantined<'c>(
        mirror: impl Executor<'c>,
        source: Option<&str>,
        aggregate: Option<&str>,
        after: &QuarantineId,
        limit: usize,
    ) -> Result<Vec<Quarantined>, DatabaseError> {
        let page = mirror.query(&sql::QUARANTINE_LIST).bind(source).bind(aggregate);
        let page = page.bind(&after.source).bind(&after.aggregate).bind(&after.key);
        page.bind(limit as i64).fetch_all().await?.iter().map(Quarantined::read).collect()
    }

    /// Returns one entry of the quarantine.
    pub async fn quarantined_one<'c>(
        mirror: impl Executor<'c>,
        id: &QuarantineId,
    ) -> Result<Option<Quarantined>, DatabaseError> {
        let entry = mirror.query(&sql::QUARANTINE_ENTRY).bind(&id.source).bind(&id.aggregate);
        let row = entry.bind(&id.key).fetch_optional().await?;
        row.as_ref().map(Quarantined::read).transpose()
    }

    /// Removes an entry from the quarantine without sending anything; returns `false` if it does not
    /// exist. The next change of its rows makes it an aggregate like any other.
    pub async fn discard_quarantined(
        mirror: &Database,
        id: &QuarantineId,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = mirror.begin().await?;
        let discard = transaction.query(&sql::DISCARD).bind(&id.source).bind(&id.aggregate);
        let discarded = discard.bind(&id.key).execute().await?;
        transaction.commit().await?;
        Ok(discarded == 1)
    }

    /// Returns the legacy systems that have rows in a mirror.
    pub async fn sources<'c>(mirror: impl Executor<'c>) -> Result<Vec<String>, DatabaseError> {
        mirror.query(&sql::SOURCES).scalars().await
    }

    /// Returns the mapping with which a source was last imported.
    pub async fn mapping_of<'c>(
        mirror: impl Executor<'c>,
        source: &str,
    ) -> Result<Option<Mapping>, DatabaseError> {
        let text: Option<String> =
            mirror.query(&sql::MAPPING).bind(source).scalar_optional().await?;
        let damaged = |error: crate::MappingError| DatabaseError::Damaged {
            column: "mapping".to_owned(),
            reason: error.to_string(),
        };
        text.map(|text| Mapping::stored(&text).map_err(damaged)).transpose()
    }

    /// Returns the mirror's state of an aggregate, assembled as the mapping defines. Its values may be
    /// personal.
    pub async fn held(&self, id: &QuarantineId) -> Result<Option<Held>, ImportError> {
        held(&self.database, self.mapping.clone(), id).await
    }

    /// Removes a person whom no module has yet, such as one in quarantine, from the mirror: from now on
    /// no data about them is imported. Returns `false` if the aggregate is not a person in the mapping.
    /// A running import is interrupted and must be run again.
    pub async fn erase_held(&self, id: &QuarantineId) -> Result<bool, ImportError> {
        let mut aggregates = self.mapping.aggregates.iter();
        let person = aggregates.find(|one| one.name == id.aggregate && one.command == PERSON);
        let Some(person) = person else { return Ok(false) };
        let (source, id) = (self.mapping.source.clone(), person.reference(&id.key));
        erase(&self.database, &self.key, PERSON, &LegacyReference { source, id }).await?;
        Ok(true)
    }

    /// Returns the id of an aggregate of this mapping in its module.
    pub fn id_of(&self, id: &QuarantineId) -> Option<Uuid> {
        let mapping = &self.mapping;
        let aggregate = mapping.aggregates.iter().position(|one| one.name == id.aggregate)?;
        Some(mapping.uid(aggregate, &id.key))
    }
}

async fn held(
    database: &Database,
    mapping: std::sync::Arc<Mapping>,
    id: &QuarantineId,
) -> Result<Option<Held>, ImportError> {
    let Some(aggregate) = mapping.aggregates.iter().position(|one| one.name == id.aggregate) else {
        return Ok(None);
    };
    let mut reading = database.snapshot().await?;
    let mut mirror = Mirror::new(mapping.clone());
    let keys = [id.key.clone()];
    let assembled = assemble(&mut mirror, &mut reading, &mapping, aggregate, &keys).await?;
    reading.rollback().await?;
    Ok(assembled.into_iter().next().map(|(one, _)| match one {
        Assembled::Document(value) => match to_json(&value, SHOWN) {
            Ok(value) => Held::Document(value),
            Err(why) => Held::Waiting(format!("its document {why}")),
        },
        Assembled::Deleted => Held::Deleted,
        Assembled::Waiting(why) => Held::Waiting(why),
    }))
}
