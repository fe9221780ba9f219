//! Conversion between serde's JSON and jaq's.

use jaq_core::ValT as _;
use jaq_json::{Map, Val};
use jaq_std::ValT as _;
use serde_json::Value;

use crate::numbers::is_a_double;

/// Returns a JSON value for jaq.
pub(crate) fn from_json(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(flag) => Val::from(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Val::from(number as isize),
            None => Val::from_num(&number.to_string()).unwrap_or(Val::Null),
        },
        Value::String(text) => Val::utf8_str(text.clone()),
        Value::Array(values) => values.iter().map(from_json).collect(),
        Value::Object(members) => {
            object(members.iter().map(|(name, value)| (name.as_str(), from_json(value))))
        }
    }
}

/// Returns an object for jaq; of two members with the same name the later one stays.
pub(crate) fn object<'n>(members: impl IntoIterator<Item = (&'n str, Val)>) -> Val {
    let members = members.into_iter().map(|(name, value)| (Val::utf8_str(name.to_owned()), value));
    Val::obj(members.collect::<Map>())
}

/// Returns a program's output as JSON, with a maximum number of values; long texts count for several.
pub(crate) fn to_json(value: &Val, most: u64) -> Result<Value, &'static str> {
    const DEEPEST: usize = 100;
    convert(value, &mut { most }, DEEPEST)
}

/// Returns a document as JSON; `None` if it is far too large.
pub(crate) fn to_plain(value: &Val) -> Option<Value> {
    to_json(value, u64::MAX).ok()
}

/// Number of bytes of text that count as one value.
const COUNTED: u64 = 32;

fn convert(value: &Val, left: &mut u64, depth: usize) -> Result<Value, &'static str> {
    *left = left.checked_sub(1).ok_or("is too large")?;
    let depth = depth.checked_sub(1).ok_or("is nested too deeply")?;
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(flag) => Value::Bool(*flag),
        Val::Num(number) => match number.as_isize() {
            Some(number) => Value::from(number as i64),
            None => {
                let text = number.to_string();
                let read = text.parse::<f64>().map_err(|_| "is not a JSON number")?;
                if let Ok(whole) = text.parse::<u64>() {
                    return Ok(Value::from(whole));
                }
                if !is_a_double(&text, read) {
                    return Err(
                        "contains a number that does not fit into a double: convert it to text",
                    );
                }
                Value::from(read)
            }
        },
        Val::TStr(bytes) => {
            // The same text may occur in many places.
            *left = left.checked_sub(bytes.len() as u64 / COUNTED).ok_or("is too large")?;
            Value::String(text(value)?)
        }
        Val::BStr(_) => return Err("holds bytes"),
        Val::Arr(values) => Value::Array(
            values.iter().map(|value| convert(value, left, depth)).collect::<Result<_, _>>()?,
        ),
        Val::Obj(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| Ok((text(name)?, convert(value, left, depth)?)))
                .collect::<Result<_, &'static str>>()?,
        ),
    })
}

fn text(value: &Val) -> Result<String, &'static str> {
    let bytes = value.as_utf8_bytes().ok_or("has a member whose name is no text")?;
    String::from_utf8(bytes.to_vec()).map_err(|_| "holds text that is not UTF-8")
}
