//! `Sync…` commands for authors of mappings: the available commands and the fields of their states,
//! derived from the types that parse the states.

use std::fmt;
use std::sync::Arc;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::fields::{self, StatedField};
use super::{LegacyAggregate, LegacyEntrance, SyncTarget};
use crate::authoring::execution::Environment;

/// Marks a field, in a type's schema, that the first state of an aggregate must contain:
/// `#[schemars(extend("x-required" = true))]`.
const REQUIRED: &str = "x-required";
/// A `Sync…` command.
#[derive(Clone, Copy)]
pub struct StatedCommand {
    /// Its name, `<module>.Sync<Aggregate>`.
    pub name: &'static str,
    schema: fn() -> Schema,
    entrance: fn(Environment) -> Arc<dyn SyncTarget>,
}

impl StatedCommand {
    /// Returns the command of an aggregate.
    pub const fn of<D: LegacyAggregate>() -> Self {
        Self { name: D::COMMAND, schema: schema::<D>, entrance: entrance::<D> }
    }

    /// Returns the self-contained JSON Schema (draft 2020-12) of the first state of an aggregate.
    /// Later states may leave out every field.
    pub fn schema(&self) -> Value {
        let mut schema = (self.schema)().to_value();
        tidy(&mut schema);
        let mut required = Vec::new();
        if let Some(Value::Object(fields)) = schema.get_mut("properties") {
            for (name, field) in fields {
                if field.as_object_mut().and_then(|field| field.remove(REQUIRED)).is_some() {
                    required.push(Value::from(name.as_str()));
                }
            }
        }
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("title".to_owned(), self.name.into());
            schema.insert("required".to_owned(), required.into());
        }
        schema
    }

    /// Returns the fields of a state: required ones first, nested fields below their parent.
    pub fn fields(&self) -> Vec<StatedField> {
        fields::of(&self.schema())
    }

    /// Returns a complete example state, combined from the examples of its fields.
    pub fn example(&self) -> Value {
        fields::example(&self.schema())
    }

    /// Returns the module's handler for it, in an environment.
    pub fn entrance(&self, environment: Environment) -> Arc<dyn SyncTarget> {
        (self.entrance)(environment)
    }
}

impl fmt::Debug for StatedCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("StatedCommand").field(&self.name).finish()
    }
}

fn schema<D: LegacyAggregate>() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<D::Said>()
}

fn entrance<D: LegacyAggregate>(environment: Environment) -> Arc<dyn SyncTarget> {
    Arc::new(LegacyEntrance::<D>::new(environment))
}

/// Removes the defaults of Rust's fields: a field that is absent from a state keeps its value.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("default");
            members.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}
