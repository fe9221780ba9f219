//! The fields of the states of `Sync…` commands, told from the schemas of the types that read them.

use std::path::Path;

use anyhow::Context as _;
use kernel::sync::{PERSONAL, StatedCommand};
use serde_json::{Map, Value};

use super::Fields;
use crate::output;

const GENERATED: &str = "<!-- Written by `make generate` from the code. Do not edit. -->";

const INTRODUCTION: &str = "The states that the programs of a [mapping](../mapping.md) give, field by field. The same on a \
terminal: `bascule mapping fields`; for programs: the JSON Schemas in \
[`openapi/sync`](../../openapi/sync).

A field that is left out leaves what bascule has, null clears it. What is *required* must be said in the \
first state of an aggregate; later it may be left out, but is never null. Other names than these are \
refused. Decimals are texts such as `\"119.60\"` or numbers, ids come from `uid(…)`. What is *personal* \
is sealed with a key of the person, and shown by `bascule mapping try` only when asked for.";

/// One field, or one of what it is made of.
pub(super) struct Field {
    /// `lines[].sku`.
    pub(super) path: String,
    pub(super) kind: String,
    required: bool,
    pub(super) nullable: bool,
    pub(super) personal: bool,
    pub(super) meaning: String,
    pub(super) example: Value,
}

/// Prints the fields of one command or of all.
pub(super) fn tell(asked: &Fields) -> anyhow::Result<()> {
    let commands = match &asked.command {
        Some(name) => vec![super::named(name)?],
        None => super::commands(),
    };
    if asked.json {
        let schema = match (&asked.command, commands.as_slice()) {
            (Some(_), [command]) => command.schema(),
            (_, commands) => {
                let named = commands.iter().map(|one| (one.name.to_owned(), one.schema()));
                Value::Object(named.collect::<Map<_, _>>())
            }
        };
        return output::line(serde_json::to_string_pretty(&schema)?);
    }
    for (index, command) in commands.iter().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        output::line(command.name)?;
        for field in of(&command.schema()) {
            let mut notes = vec![field.kind.clone()];
            notes.extend(field.required.then(|| "required".to_owned()));
            notes.extend((!field.nullable).then(|| "never null".to_owned()));
            notes.extend(field.personal.then(|| "personal".to_owned()));
            output::line(format_args!("  {} ({})", field.path, notes.join(", ")))?;
            output::line(format_args!("      {}", field.meaning))?;
            output::line(format_args!("      such as {}", field.example))?;
        }
    }
    Ok(())
}

/// Writes the page and the schemas.
pub(super) fn export(folder: &Path, page: &Path) -> anyhow::Result<()> {
    let commands = super::commands();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be written", folder.display()))?;
    let write = |file: &Path, text: String| {
        std::fs::write(file, text)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        output::line(format_args!("wrote {}", file.display()))
    };
    for command in &commands {
        let file = folder.join(format!("{}.schema.json", command.name));
        write(&file, format!("{}\n", serde_json::to_string_pretty(&command.schema())?))?;
    }
    write(page, text_of_page(&commands)?)
}

fn text_of_page(commands: &[StatedCommand]) -> anyhow::Result<String> {
    let mut parts = vec![
        GENERATED.to_owned(),
        "# Fields of imported states".to_owned(),
        INTRODUCTION.to_owned(),
    ];
    for command in commands {
        let schema = command.schema();
        parts.push(format!("## {}", command.name));
        let rows = of(&schema).into_iter().map(|field| {
            let said = match (field.required, field.nullable) {
                (true, _) => "required",
                (false, true) => "",
                (false, false) => "never null",
            };
            let meaning = match field.personal {
                true => format!("{} *Personal.*", field.meaning),
                false => field.meaning,
            };
            format!(
                "| `{}` | {} | {said} | {meaning} | `{}` |",
                field.path, field.kind, field.example
            )
        });
        let head = "| field | type | | meaning | such as |\n|---|---|---|---|---|".to_owned();
        parts.push(std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n"));
        let example = serde_json::to_string_pretty(&example(&schema))?;
        parts.push(format!("All of it:\n\n```json\n{example}\n```"));
    }
    Ok(format!("{}\n", parts.join("\n\n")))
}

/// The fields of a state: required ones first, what a field is made of below it.
pub(super) fn of(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    collect(schema, "", false, &mut fields);
    fields
}

fn collect(object: &Value, above: &str, personal: bool, fields: &mut Vec<Field>) {
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
        fields.push(Field {
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

/// What stands beside null in a schema that allows it.
pub(super) fn without_null(schema: &Value) -> &Value {
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

/// A type in words.
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

/// A value that a schema gives as an example, put together from those of its parts.
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
