//! Catalogues of published events, as data: for schemas, and for the tests that guard stored formats.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Published;
use crate::versions::readable_types;

/// One version of a published event.
#[derive(Debug, Clone, Copy)]
pub struct PublishedEvent {
    /// `<module>.<Event>.v<N>`.
    pub event_type: &'static str,
    schema: fn() -> Schema,
    readable: fn() -> Vec<&'static str>,
    rewrite: fn(Value) -> Result<Value, serde_json::Error>,
}

impl PublishedEvent {
    /// Describes an event by its contract type.
    pub const fn of<E: Published + JsonSchema + Serialize + DeserializeOwned>() -> Self {
        Self {
            event_type: E::TYPE,
            schema: schema::<E>,
            readable: readable_types::<E>,
            rewrite: rewrite::<E>,
        }
    }

    /// Returns the JSON Schema (draft 2020-12) of its data, self-contained.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Returns the stored names that can be read as this version, oldest first; its own is the last.
    pub fn readable_types(&self) -> Vec<&'static str> {
        (self.readable)()
    }

    /// Reads data of exactly this version and writes it again. The result is the same as long as the
    /// contract type still matches the stored format.
    pub fn rewrite(&self, data: Value) -> Result<Value, serde_json::Error> {
        (self.rewrite)(data)
    }
}

fn schema<E: Published + JsonSchema>() -> Schema {
    // With inlined types, a schema describes each field where it stands, and a change of a shared type
    // shows in every event that it changes.
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<E>();
    schema.insert("title".to_owned(), E::TYPE.into());
    schema
}

fn rewrite<E: Serialize + DeserializeOwned>(data: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<E>(data)?)
}
