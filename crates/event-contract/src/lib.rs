//! The vocabulary of event contracts: the [`Published`] trait that ties an event struct to its stored
//! name, and the [`Personal`] marker for data about a person.
//!
//! A contract declares its events in one table, [`published!`]: the catalogue of [`PublishedEvent`]s, their
//! [`Sample`]s, and the [`Upcaster`] of an event with several stored versions.
//!
//! Nothing else belongs here. Contract crates depend on this crate and on plain data types, so
//! that another service can compile them without pulling in a database or a web server.

mod catalogue;
pub mod ids;
#[doc(hidden)]
pub mod published;
mod versions;

use std::borrow::Cow;
use std::fmt;

pub use catalogue::PublishedEvent;
pub use ids::Identifier;
pub use published::Sample;
pub use versions::{Upcaster, read, readable_types, reads};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// An event as its module publishes it, under a name that is part of the storage format.
///
/// Once a name is stored it never changes meaning. Within a version only optional fields may be
/// added; anything else is a new version with an upcaster from every older one.
pub trait Published: Sized {
    /// `<module>.<Event>.v<N>`, for example `orders.OrderPlaced.v1`.
    const TYPE: &'static str;

    /// Converts the previous version into this one; `None` for the first version.
    const UPCASTER: Option<Upcaster<Self>> = None;

    /// Returns the person whose key encrypts this event's [`Personal`] fields, `None` if it has none.
    ///
    /// The key's purpose is the module's name, the part of [`Self::TYPE`] before the first dot, so
    /// that each module can keep or destroy its own (billing's outlives the others: invoices must
    /// be kept).
    fn data_subject(&self) -> Option<Uuid> {
        None
    }
}

/// The member of the marker object that holds a personal value in clear text, between a contract struct
/// and the codec that encrypts it.
pub const CLEAR_MEMBER: &str = "$personal";
/// The member that holds the encrypted value as it is stored.
pub const SEALED_MEMBER: &str = "$sealed";
/// The member that replaces an encrypted value whose key was destroyed.
pub const ERASED_MEMBER: &str = "$erased";

/// Data about a person. It is stored encrypted with a key of that person; once the key is
/// destroyed the value reads as [`Personal::Erased`].
///
/// `Debug` never shows the value. Serialising yields a marker object that only the kernel's codec
/// understands, so that a personal value cannot get into a response or a log by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Personal<T> {
    /// The value is known.
    Known(T),
    /// The key was destroyed: the person asked to be forgotten.
    Erased,
}

impl<T> Personal<T> {
    /// Returns the value, or `None` if it was erased.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// Returns the owned value, or `None` if it was erased.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Known(_) => "Personal(…)",
            Self::Erased => "Personal(erased)",
        })
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Known(value) => map.serialize_entry(CLEAR_MEMBER, value)?,
            Self::Erased => map.serialize_entry(ERASED_MEMBER, &true)?,
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Marker<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Marker<T> {
            type Value = Personal<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a personal value opened by the codec")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let member: Option<String> = map.next_key()?;
                match member.as_deref() {
                    Some(CLEAR_MEMBER) => Ok(Personal::Known(map.next_value()?)),
                    Some(ERASED_MEMBER) => {
                        map.next_value::<bool>()?;
                        Ok(Personal::Erased)
                    }
                    Some(SEALED_MEMBER) => {
                        Err(A::Error::custom("a personal value is still encrypted"))
                    }
                    _ => Err(A::Error::custom("not a personal value")),
                }
            }
        }
        deserializer.deserialize_map(Marker(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Personal<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Personal_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "description": "Personal data: sealed with a key of the person, or erased.",
            "oneOf": [
                { "required": [CLEAR_MEMBER], "properties": { CLEAR_MEMBER: value } },
                { "required": [SEALED_MEMBER], "properties": { SEALED_MEMBER: { "type": "string" } } },
                { "required": [ERASED_MEMBER], "properties": { ERASED_MEMBER: { "const": true } } },
            ]
        })
    }
}

/// The origin of an imported aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LegacyReference {
    /// The legacy system's name in the mapping, for example `tryton`.
    pub source: String,
    /// Its key there, as text. The kind of aggregate determines the table of the key.
    pub id: String,
}
