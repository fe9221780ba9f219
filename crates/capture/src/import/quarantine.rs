//! What could not be understood or delivered: looked at, tried again, given up.

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

/// Values of a document that are shown at most.
const SHOWN: u64 = 1_000_000;

/// Names an aggregate in quarantine: the source, the kind and the legacy's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineId {
    /// The legacy system's name.
    pub source: String,
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// Key of its root row in the legacy.
    pub key: String,
}

/// An aggregate that could not be understood, or that its module can never take.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// The legacy system's name.
    pub source: String,
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// Key of its root row in the legacy.
    pub key: String,
    /// Why, without data.
    pub reason: String,
    /// Since when.
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

    /// What names it.
    pub fn id(&self) -> QuarantineId {
        let Self { source, aggregate, key, .. } = self;
        QuarantineId { source: source.clone(), aggregate: aggregate.clone(), key: key.clone() }
    }
}

/// What the mirror has of an aggregate in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// The document that the mapping's program reads.
    Document(Value),
    /// Its root row was deleted.
    Deleted,
    /// Something is missing, as the text says.
    Waiting(String),
}

impl Import {
    /// A page of what is in quarantine in a mirror, of one source and kind or of all, in the order
    /// of source, kind and key, after an entry.
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

    /// One entry of the quarantine.
    pub async fn quarantined_one<'c>(
        mirror: impl Executor<'c>,
        id: &QuarantineId,
    ) -> Result<Option<Quarantined>, DatabaseError> {
        let entry = mirror.query(&sql::QUARANTINE_ENTRY).bind(&id.source).bind(&id.aggregate);
        let row = entry.bind(&id.key).fetch_optional().await?;
        row.as_ref().map(Quarantined::read).transpose()
    }

    /// Takes an entry out of the quarantine without sending anything; `false` if there is none.
    /// The next change of its rows makes it an aggregate like any other.
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

    /// The legacy systems that a mirror has rows of.
    pub async fn sources<'c>(mirror: impl Executor<'c>) -> Result<Vec<String>, DatabaseError> {
        mirror.query(&sql::SOURCES).scalars().await
    }

    /// The mapping that a source was last imported by.
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

    /// What the mirror has of an aggregate, as the mapping puts it together. Its values may be
    /// personal.
    pub async fn held(&self, id: &QuarantineId) -> Result<Option<Held>, ImportError> {
        held(&self.database, self.mapping.clone(), id).await
    }

    /// Takes a person out of the mirror whom no module has yet, such as one in quarantine: from now on
    /// nothing about them is taken. `false` if the mapping makes no person of this aggregate. An import
    /// that runs is interrupted and has to be run again.
    pub async fn erase_held(&self, id: &QuarantineId) -> Result<bool, ImportError> {
        let mut aggregates = self.mapping.aggregates.iter();
        let person = aggregates.find(|one| one.name == id.aggregate && one.command == PERSON);
        let Some(person) = person else { return Ok(false) };
        let (source, id) = (self.mapping.source.clone(), person.reference(&id.key));
        erase(&self.database, &self.key, PERSON, &LegacyReference { source, id }).await?;
        Ok(true)
    }

    /// Where an aggregate of this mapping is to be found in its module.
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
