//! `Sync…` commands as the authors of mappings see them: which there are, and what their states may
//! say. Told from the types that read the states, so that nothing else can be said of them.

use std::fmt;
use std::sync::Arc;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::fields::{self, StatedField};
use super::{LegacyAggregate, LegacyEntrance, SyncTarget};
use crate::authoring::execution::Environment;

/// Marks, in a type's schema, what the first state of an aggregate must say:
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
    /// The command of an aggregate.
    pub const fn of<D: LegacyAggregate>() -> Self {
        Self { name: D::COMMAND, schema: schema::<D>, entrance: entrance::<D> }
    }

    /// The JSON Schema (draft 2020-12) of the first state of an aggregate, complete in itself. A
    /// later state may leave everything out.
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

    /// Returns the fields of a state: required ones first, what a field is made of below it.
    pub fn fields(&self) -> Vec<StatedField> {
        fields::of(&self.schema())
    }

    /// Returns a complete state, made of the examples of its fields.
    pub fn example(&self) -> Value {
        fields::example(&self.schema())
    }

    /// The module's entrance for it, in an environment.
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

/// Leaves out the defaults of Rust's fields: what is left out of a state is left alone.
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
