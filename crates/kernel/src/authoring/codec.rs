//! Encodes event structs to stored bytes and decodes them: seals personal values when writing, opens
//! them when reading.

mod event_set;

use std::sync::Arc;
use std::time::Duration;

use event_contract::{CLEAR_MEMBER, ERASED_MEMBER, SEALED_MEMBER};
use moka::sync::Cache;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use uuid::Uuid;

pub use self::event_set::{Either, EventSet};
use crate::log::complaint::discreet;
use crate::log::event::{RecordedEvent, family};
use crate::log::keys::{KeyError, KeyHolder, KeyVault, SealedValue, SecretKey, SubjectKey};
use crate::log::store::EventStore;

// Used by the macro, so that its users need not depend on these crates.
#[doc(hidden)]
pub use self::event_set::{DataSubject, Json, JsonError};
#[doc(hidden)]
pub use event_contract::{Published, read, readable_types, reads};
#[doc(hidden)]
pub use serde_json::to_value as to_json;

/// An event of a set, with its recorded form.
#[derive(Debug, Clone)]
pub struct Envelope<E> {
    /// The decoded event.
    pub event: E,
    /// The event as recorded in the log.
    pub recorded: Arc<RecordedEvent>,
}

/// Why an event cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The data violates the contract.
    #[error("the data of {event_type} does not follow its contract")]
    Malformed {
        /// The event's type.
        event_type: String,
        /// What was expected; never the value found, which may be personal data.
        #[source]
        source: serde_json::Error,
    },
    /// The event's type does not belong to the expected set.
    #[error("this reader does not know {event_type}")]
    UnknownType {
        /// The event's type.
        event_type: String,
    },
    /// The event's family is known, but not this version: a newer release wrote it. It must be
    /// neither skipped nor parked; a replica of that release can handle it.
    #[error("this release reads {}, but not {event_type}", known.join(", "))]
    UnknownVersion {
        /// The event's type.
        event_type: String,
        /// The readable types of its family.
        known: Vec<&'static str>,
    },
    /// The event has personal values but its contract names no data subject.
    #[error("{event_type} has personal values but names no data subject")]
    NoDataSubject {
        /// The event's type.
        event_type: String,
    },
    /// A key is unavailable or does not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl CodecError {
    /// Returns whether a retry may succeed: the keys are unavailable, or a newer release wrote the
    /// event and replicas of it can read it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Key(KeyError::Unavailable(_))) || self.is_of_newer_release()
    }

    /// Returns whether only a newer release can read the event.
    pub fn is_of_newer_release(&self) -> bool {
        matches!(self, Self::UnknownType { .. } | Self::UnknownVersion { .. })
    }

    fn unreadable<E: EventSet>(event_type: &str) -> Self {
        let mut known = E::readable_types();
        known.retain(|known| family(known).is_some() && family(known) == family(event_type));
        let event_type = event_type.to_owned();
        if known.is_empty() {
            Self::UnknownType { event_type }
        } else {
            Self::UnknownVersion { event_type, known }
        }
    }
}

/// How long an opened key is cached.
const KEY_LIFETIME: Duration = Duration::from_secs(60);
const KEYS_IN_MEMORY: u64 = 10_000;

/// Encodes and decodes events. Cheap to clone.
#[derive(Clone)]
pub struct Codec {
    vault: Arc<dyn KeyVault>,
    /// Keys go back together with the log: a key created since may be gone, and the values it seals
    /// would be unreadable. A key is only used in the incarnation in which it was read.
    incarnation: Option<watch::Receiver<u64>>,
    sealing_keys: Cache<KeyHolder, (u64, SubjectKey)>,
    opening_keys: Cache<Uuid, (u64, SecretKey)>,
}

impl Codec {
    /// Creates a codec whose keys come from `vault`.
    pub fn new(vault: Arc<dyn KeyVault>) -> Self {
        Self {
            vault,
            incarnation: None,
            sealing_keys: Cache::builder()
                .max_capacity(KEYS_IN_MEMORY)
                .time_to_live(KEY_LIFETIME)
                .build(),
            opening_keys: Cache::builder()
                .max_capacity(KEYS_IN_MEMORY)
                .time_to_live(KEY_LIFETIME)
                .build(),
        }
    }

    /// Returns the stored bytes of an event that will have this id.
    pub async fn encode<E: EventSet>(&self, event: &E, id: Uuid) -> Result<Vec<u8>, CodecError> {
        let event_type = event.event_type();
        let malformed =
            |source| CodecError::Malformed { event_type: event_type.to_owned(), source };
        let mut data = event.to_json().map_err(malformed)?;
        let holder = || {
            let subject = event
                .data_subject()
                .ok_or_else(|| CodecError::NoDataSubject { event_type: event_type.to_owned() })?;
            Ok(KeyHolder { subject, purpose: purpose_of(event_type).to_owned() })
        };
        self.seal(&mut data, holder, id).await?;
        serde_json::to_vec(&data).map_err(malformed)
    }

    /// Seals the personal values of a document, if any, bound to one place.
    pub(crate) async fn seal(
        &self,
        data: &mut Value,
        holder: impl FnOnce() -> Result<KeyHolder, CodecError>,
        place: Uuid,
    ) -> Result<(), CodecError> {
        if !contains_clear_value(data) {
            return Ok(());
        }
        // Without a key, the data subject was erased: new personal data about it is not stored
        // either.
        let key = self.sealing_key(holder()?).await?;
        seal_values(data, key.as_ref(), place)
    }

    /// Decodes an event of a known set; personal values are opened or erased.
    pub async fn decode<E: EventSet>(
        &self,
        recorded: Arc<RecordedEvent>,
    ) -> Result<Envelope<E>, CodecError> {
        let data = self.open_data(&recorded).await?;
        let event = E::from_json(&recorded.event_type, data)
            .map_err(|error| CodecError::Malformed {
                event_type: recorded.event_type.to_string(),
                source: discreet(&error),
            })?
            .ok_or_else(|| CodecError::unreadable::<E>(&recorded.event_type))?;
        Ok(Envelope { event, recorded })
    }

    /// Returns the data of any event for display: personal values opened, erased ones null.
    pub async fn readable_data(&self, recorded: &RecordedEvent) -> Result<Value, CodecError> {
        let mut data = self.open_data(recorded).await?;
        unwrap_markers(&mut data);
        Ok(data)
    }

    /// Returns the data of any module event for external readers: personal values opened, erased
    /// ones marked as [`ERASED_MEMBER`].
    pub async fn opened_data(&self, recorded: &RecordedEvent) -> Result<Value, CodecError> {
        let mut data = self.open_data(recorded).await?;
        unwrap_clear_values(&mut data);
        Ok(data)
    }

    async fn open_data(&self, recorded: &RecordedEvent) -> Result<Value, CodecError> {
        let mut data: Value = serde_json::from_slice(&recorded.data).map_err(|source| {
            CodecError::Malformed { event_type: recorded.event_type.to_string(), source }
        })?;
        self.open(&mut data, recorded.id).await?;
        Ok(data)
    }

    /// Opens the sealed values of a document in place; values without a key become erased.
    pub(crate) async fn open(&self, data: &mut Value, place: Uuid) -> Result<(), CodecError> {
        let mut key_ids = Vec::new();
        collect_key_ids(data, &mut key_ids)?;
        let mut keys = Vec::with_capacity(key_ids.len());
        for key_id in key_ids {
            if let Some(key) = self.opening_key(key_id).await? {
                keys.push((key_id, key));
            }
        }
        open_values(data, &keys, place)
    }

    /// Destroys the keys of subjects except those of the retained purposes. Their personal values
    /// then read as erased: in this process at once, in other processes after [`Self::forget_keys`]
    /// or within a minute.
    pub async fn destroy_keys(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), KeyError> {
        self.vault.destroy(subjects, retained).await?;
        self.forget_keys();
        Ok(())
    }

    /// Returns whether the key of a subject for a purpose was destroyed by any process.
    pub async fn is_key_destroyed(&self, holder: &KeyHolder) -> Result<bool, KeyError> {
        self.vault.is_destroyed(holder).await
    }

    /// Removes all cached keys because some of them were destroyed; the remaining ones are read
    /// again on demand.
    pub fn forget_keys(&self) {
        self.sealing_keys.invalidate_all();
        self.opening_keys.invalidate_all();
    }

    /// Returns the codec with its key cache bound to the store's log: the keys are dropped whenever
    /// the log goes back.
    pub(crate) fn beside(self, store: &dyn EventStore) -> Self {
        Self { incarnation: Some(store.watch_incarnation()), ..self }
    }

    fn incarnation(&self) -> u64 {
        self.incarnation.as_ref().map_or(0, |incarnation| *incarnation.borrow())
    }

    /// Loads the key of a holder into the cache, and creates it if necessary. Call it before sealing
    /// while other callers wait: an unavailable vault then fails here.
    pub async fn fetch_key(&self, holder: KeyHolder) -> Result<(), KeyError> {
        self.sealing_key(holder).await?;
        Ok(())
    }

    async fn sealing_key(&self, holder: KeyHolder) -> Result<Option<SubjectKey>, KeyError> {
        let incarnation = self.incarnation();
        if let Some((of, key)) = self.sealing_keys.get(&holder)
            && of == incarnation
        {
            return Ok(Some(key));
        }
        let key = self.vault.sealing_key(&holder).await?;
        if let Some(key) = &key {
            self.sealing_keys.insert(holder, (incarnation, key.clone()));
        }
        Ok(key)
    }

    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError> {
        let incarnation = self.incarnation();
        if let Some((of, key)) = self.opening_keys.get(&key_id)
            && of == incarnation
        {
            return Ok(Some(key));
        }
        let key = self.vault.opening_key(key_id).await?;
        if let Some(key) = &key {
            self.opening_keys.insert(key_id, (incarnation, key.clone()));
        }
        Ok(key)
    }
}

/// Returns the purpose of an event's personal values: the module, the first part of its type.
pub(crate) fn purpose_of(event_type: &str) -> &str {
    event_type.split('.').next().unwrap_or(event_type)
}

/// Returns the value of the only member if an object is a marker of this kind.
fn marker<'a>(object: &'a Map<String, Value>, member: &str) -> Option<&'a Value> {
    if object.len() == 1 { object.get(member) } else { None }
}

fn contains_clear_value(data: &Value) -> bool {
    match data {
        Value::Object(object) => {
            marker(object, CLEAR_MEMBER).is_some() || object.values().any(contains_clear_value)
        }
        Value::Array(items) => items.iter().any(contains_clear_value),
        _ => false,
    }
}

fn seal_values(
    data: &mut Value,
    key: Option<&SubjectKey>,
    event_id: Uuid,
) -> Result<(), CodecError> {
    match data {
        Value::Object(object) => {
            if let Some(clear) = marker(object, CLEAR_MEMBER) {
                *data = match key {
                    Some(key) => {
                        let plain = clear.to_string();
                        let sealed = SealedValue::seal(key, plain.as_bytes(), event_id)?;
                        json!({ SEALED_MEMBER: sealed.to_text() })
                    }
                    None => json!({ ERASED_MEMBER: true }),
                };
                return Ok(());
            }
            object.values_mut().try_for_each(|value| seal_values(value, key, event_id))
        }
        Value::Array(items) => {
            items.iter_mut().try_for_each(|value| seal_values(value, key, event_id))
        }
        _ => Ok(()),
    }
}

fn sealed_value(object: &Map<String, Value>) -> Result<Option<SealedValue>, KeyError> {
    match marker(object, SEALED_MEMBER) {
        Some(Value::String(text)) => SealedValue::from_text(text).map(Some),
        Some(_) => Err(KeyError::DoesNotOpen),
        None => Ok(None),
    }
}

/// Checks that readers of a module's events can read the data: it must be a JSON object whose sealed
/// values were made by sealing. For events that were encoded elsewhere. Only holders of the keys can
/// check whether the values open.
pub fn must_be_readable(event_type: &str, data: &[u8]) -> Result<(), CodecError> {
    let object: Map<String, Value> = serde_json::from_slice(data).map_err(|error| {
        CodecError::Malformed { event_type: event_type.to_owned(), source: discreet(&error) }
    })?;
    Ok(check_sealed_values(&Value::Object(object))?)
}

fn check_sealed_values(data: &Value) -> Result<(), KeyError> {
    match data {
        Value::Object(object) => match sealed_value(object)? {
            Some(_) => Ok(()),
            None => object.values().try_for_each(check_sealed_values),
        },
        Value::Array(items) => items.iter().try_for_each(check_sealed_values),
        _ => Ok(()),
    }
}

fn collect_key_ids(data: &Value, key_ids: &mut Vec<Uuid>) -> Result<(), KeyError> {
    match data {
        Value::Object(object) => match sealed_value(object)? {
            Some(value) => {
                if !key_ids.contains(&value.key_id) {
                    key_ids.push(value.key_id);
                }
                Ok(())
            }
            None => object.values().try_for_each(|value| collect_key_ids(value, key_ids)),
        },
        Value::Array(items) => items.iter().try_for_each(|value| collect_key_ids(value, key_ids)),
        _ => Ok(()),
    }
}

fn open_values(
    data: &mut Value,
    keys: &[(Uuid, SecretKey)],
    event_id: Uuid,
) -> Result<(), CodecError> {
    match data {
        Value::Object(object) => {
            let Some(value) = sealed_value(object)? else {
                return object
                    .values_mut()
                    .try_for_each(|value| open_values(value, keys, event_id));
            };
            *data = match keys.iter().find(|(id, _)| *id == value.key_id) {
                None => json!({ ERASED_MEMBER: true }),
                Some((_, key)) => {
                    let plain = key.open(&value.sealed, event_id.as_bytes())?;
                    let clear: Value =
                        serde_json::from_slice(&plain).map_err(|_| KeyError::DoesNotOpen)?;
                    json!({ CLEAR_MEMBER: clear })
                }
            };
            Ok(())
        }
        Value::Array(items) => {
            items.iter_mut().try_for_each(|value| open_values(value, keys, event_id))
        }
        _ => Ok(()),
    }
}

fn unwrap_markers(data: &mut Value) {
    match data {
        Value::Object(object) => {
            if let Some(clear) = marker(object, CLEAR_MEMBER) {
                *data = clear.clone();
            } else if marker(object, ERASED_MEMBER).is_some() {
                *data = Value::Null;
            } else {
                object.values_mut().for_each(unwrap_markers);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_markers),
        _ => {}
    }
}

fn unwrap_clear_values(data: &mut Value) {
    match data {
        Value::Object(object) => match marker(object, CLEAR_MEMBER) {
            Some(clear) => *data = clear.clone(),
            None => object.values_mut().for_each(unwrap_clear_values),
        },
        Value::Array(items) => items.iter_mut().for_each(unwrap_clear_values),
        _ => {}
    }
}
