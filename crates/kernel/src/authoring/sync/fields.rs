//! The fields of the states of `Sync…` commands, derived from the schemas of the types that parse
//! them.

use serde_json::{Map, Value};

/// Marks personal data: `#[schemars(extend("x-personal" = true))]`.
pub const PERSONAL: &str = "x-personal";

/// A field of a state, or a nested field.
#[derive(Debug, Clone)]
pub struct StatedField {
    /// `lines[].sku`.
    pub path: String,
    /// Its type, for display.
    pub kind: String,
    /// Whether the first state of an aggregate must contain it.
    pub required: bool,
    /// Whether null clears it.
    pub nullable: bool,
    /// Whether it is personal data.
    pub personal: bool,
    /// Its description.
    pub meaning: String,
    /// An example value.
    pub example: Value,
}

/// Returns the fields of a state: required ones first, nested fields below their parent.
pub(super) fn of(schema: &Value) -> Vec<StatedField> {
    let mut fields = Vec::new();
    collect(schema, "", false, &mut fields);
    fields
}

fn collect(object: &Value, above: &str, personal: bool, fields: &mut Vec<StatedField>) {
    let Some(properties) = object["properties"].as_object() else { return };
    let is_required = |name: &str| {
        let names = object["required"].as_array();
        names.is_some_and(|names| names.iter().any(|one| one == name))
    };
    let mut properties: Vec<_> = properties.iter().collect();
    properties.sort_by_key(|(name, _)| (!is_required(name), *name));
    for (name, schema) in properties {
        let path = format!("{above}{name}");
        let personal = personal || schema[PERSONAL] == true;
        let meaning = schema["description"].as_str().unwrap_or_default();
        let value = without_null(schema);
        fields.push(StatedField {
            path: path.clone(),
            kind: kind(value),
            required: is_required(name),
            nullable: is_nullable(schema),
            personal,
            meaning: meaning.replace('\n', " "),
            example: example(schema),
        });
        let (inner, path) = match value.get("items") {
            Some(items) => (without_null(items), format!("{path}[].")),
            None => (value, format!("{path}.")),
        };
        collect(inner, &path, personal, fields);
    }
}

/// Returns the non-null alternative of a nullable schema.
pub fn without_null(schema: &Value) -> &Value {
    let others = schema["anyOf"].as_array().into_iter().flatten();
    others.into_iter().find(|other| other["type"] != "null").unwrap_or(schema)
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |schema: &Value| {
        let types = schema["type"].as_array().into_iter().flatten();
        schema["type"] == "null" || types.into_iter().any(|one| one == "null")
    };
    is_null(schema) || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(is_null))
}

fn is_of(schema: &Value, name: &str) -> bool {
    schema["type"] == name
        || schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == name))
}

/// Returns a type's display text.
fn kind(schema: &Value) -> String {
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    let constants = constants.filter_map(|one| one["const"].as_str());
    let constants =
        constants.chain(schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str));
    let constants: Vec<String> = constants.map(|one| format!("`{one}`")).collect();
    if !constants.is_empty() {
        return constants.join(" or ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(without_null(items)));
    }
    let name = match schema["format"].as_str() {
        Some("uuid") => "id",
        Some("date") => "day",
        _ if is_of(schema, "number") => "decimal",
        _ if is_of(schema, "boolean") => "true or false",
        _ if is_of(schema, "object") => "object",
        _ => "text",
    };
    name.to_owned()
}

/// Returns a schema's example value, combined from the examples of its parts.
pub(super) fn example(schema: &Value) -> Value {
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    let schema = without_null(schema);
    if let Some(items) = schema.get("items") {
        return Value::Array(vec![example(items)]);
    }
    match schema["properties"].as_object() {
        Some(properties) => properties
            .iter()
            .map(|(name, schema)| (name.clone(), example(schema)))
            .collect::<Map<_, _>>()
            .into(),
        None => Value::Null,
    }
}
