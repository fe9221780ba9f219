//! Masks personal data in the output of trials.

use capture::{JoinedRow, Look, Mapping, PERSONS, Stated};
use kernel::sync::{PERSONAL, StatedCommand, without_null};
use serde_json::Value;

/// Masks values that may be personal data in rows, document and state.
pub(super) fn look(look: &mut Look, mapping: &Mapping, aggregate: &str, command: &StatedCommand) {
    let personal = mapping.personal_columns(PERSONS);
    let is_personal = |table: &str, column: &str| {
        personal.get(table).is_some_and(|columns| columns.contains(column))
    };
    for JoinedRow { table, columns, .. } in &mut look.rows {
        for (column, value) in columns.iter_mut().flatten() {
            if is_personal(table, column) {
                blot(value);
            }
        }
    }
    if let Some(shown) = &mut look.document {
        document(shown, mapping, aggregate);
    }
    if let Ok(Stated::Present(state)) = &mut look.result {
        mask_state(state, &command.schema());
    }
}

/// Masks the columns of a document that may be personal data.
pub(crate) fn document(document: &mut Value, mapping: &Mapping, aggregate: &str) {
    let personal = mapping.personal_columns(PERSONS);
    mapping.each_column(aggregate, document, &mut |table, column, value| {
        if personal.get(table).is_some_and(|columns| columns.contains(column)) {
            blot(value);
        }
    });
}

/// Masks the fields of a state that the command's schema marks as personal or does not have.
fn mask_state(state: &mut Value, schema: &Value) {
    let schema = without_null(schema);
    match state {
        Value::Object(members) => {
            for (name, value) in members {
                match &schema["properties"][name] {
                    field if field.is_object() && field[PERSONAL] != true => {
                        mask_state(value, field);
                    }
                    _ => blot(value),
                }
            }
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| mask_state(value, &schema["items"]));
        }
        _ => {}
    }
}

/// Replaces a value with a description of its type and length.
fn blot(value: &mut Value) {
    let left = match &*value {
        Value::Null => return,
        Value::String(text) => format!("<text of {} characters>", text.chars().count()),
        Value::Number(_) => "<number>".to_owned(),
        Value::Bool(_) => "<true or false>".to_owned(),
        Value::Array(values) => format!("<list of {}>", values.len()),
        Value::Object(_) => "<object>".to_owned(),
    };
    *value = left.into();
}
