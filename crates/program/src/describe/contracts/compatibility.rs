//! Compatibility of event schemas within a version. Descriptive texts may change and optional fields may
//! be added; every other change is a breach.
//!
//! Both directions count. Today's type must read events stored long ago; readers of the previous release
//! and other services must read events written today.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

/// Keywords that only document a schema.
const TEXTS: &[&str] = &["$comment", "$schema", "description", "examples", "title"];

/// An incompatible change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The field, as a path such as `state.lines[].sku`; empty for the event itself.
    path: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Removed,
    AddedAsRequired,
    NowRequired,
    NowOptional,
    ChoiceRemoved(String),
    ChoiceAdded(String),
    Otherwise { keyword: String, before: String, after: String },
}

impl Breach {
    /// Returns whether the change would be compatible if the field were optional.
    pub fn could_be_optional(&self) -> bool {
        self.what == What::AddedAsRequired
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            formatter.write_str("the event")?;
        } else {
            write!(formatter, "field `{}`", self.path)?;
        }
        match &self.what {
            What::Removed => formatter.write_str(" was removed"),
            What::AddedAsRequired => formatter.write_str(" is new and required"),
            What::NowRequired => formatter.write_str(" was optional and is required"),
            What::NowOptional => formatter.write_str(" was required and is optional"),
            What::ChoiceRemoved(choice) => write!(formatter, " can no longer be {choice}"),
            What::ChoiceAdded(choice) => write!(formatter, " can now be {choice}, too"),
            What::Otherwise { keyword, before, after } => {
                write!(formatter, " changed its `{keyword}` from {before} to {after}")
            }
        }
    }
}

/// Returns the incompatible changes between a published schema and the present one.
pub fn breaches(published: &Value, present: &Value) -> Vec<Breach> {
    let mut comparison = Comparison { breaches: Vec::new() };
    comparison.schemas("", published, present);
    comparison.breaches
}

struct Comparison {
    breaches: Vec<Breach>,
}

impl Comparison {
    fn breach(&mut self, path: &str, what: What) {
        self.breaches.push(Breach { path: path.to_owned(), what });
    }

    fn schemas(&mut self, path: &str, published: &Value, present: &Value) {
        let (Value::Object(before), Value::Object(after)) = (published, present) else {
            return self.otherwise(path, "schema", Some(published), Some(present));
        };
        let (before, after) = (&*in_one_form(before), &*in_one_form(after));
        self.fields(path, before, after);
        let keywords: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for keyword in keywords {
            match (keyword.as_str(), before.get(keyword), after.get(keyword)) {
                ("properties" | "required", ..) => {}
                (text, ..) if TEXTS.contains(&text) => {}
                ("items", Some(before), Some(after)) => {
                    self.schemas(&format!("{path}[]"), before, after);
                }
                ("oneOf" | "anyOf", Some(Value::Array(before)), Some(Value::Array(after))) => {
                    self.choices(path, before, after);
                }
                ("enum", Some(Value::Array(before)), Some(Value::Array(after))) => {
                    self.listed(path, before, after);
                }
                (keyword, before, after) => self.otherwise(path, keyword, before, after),
            }
        }
    }

    fn fields(&mut self, path: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let (fields_before, fields_after) = (fields(before), fields(after));
        let names: BTreeSet<&String> = fields_before.keys().chain(fields_after.keys()).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (was_required, is_required) = (requires(before, name), requires(after, name));
            match (fields_before.get(name), fields_after.get(name)) {
                (Some(_), None) => self.breach(&path, What::Removed),
                (None, Some(_)) if is_required => self.breach(&path, What::AddedAsRequired),
                (None, _) => {}
                (Some(before), Some(after)) => {
                    match (was_required, is_required) {
                        (false, true) => self.breach(&path, What::NowRequired),
                        (true, false) => self.breach(&path, What::NowOptional),
                        _ => {}
                    }
                    self.schemas(&path, before, after);
                }
            }
        }
    }

    /// Matches alternatives by their label (see [`label`]), or else by their position.
    fn choices(&mut self, path: &str, before: &[Value], after: &[Value]) {
        let label = |(place, choice): (usize, &Value)| {
            label(choice).unwrap_or_else(|| format!("alternative {}", place + 1))
        };
        let before: Vec<(String, &Value)> =
            before.iter().enumerate().map(|choice| (label(choice), choice.1)).collect();
        let after: Vec<(String, &Value)> =
            after.iter().enumerate().map(|choice| (label(choice), choice.1)).collect();
        for (label, choice) in &before {
            match after.iter().find(|(other, _)| other == label) {
                Some((_, present)) => self.schemas(path, choice, present),
                None => self.breach(path, What::ChoiceRemoved(label.clone())),
            }
        }
        for (label, _) in after {
            if !before.iter().any(|(other, _)| *other == label) {
                self.breach(path, What::ChoiceAdded(label));
            }
        }
    }

    fn listed(&mut self, path: &str, before: &[Value], after: &[Value]) {
        for value in before.iter().filter(|value| !after.contains(value)) {
            self.breach(path, What::ChoiceRemoved(value.to_string()));
        }
        for value in after.iter().filter(|value| !before.contains(value)) {
            self.breach(path, What::ChoiceAdded(value.to_string()));
        }
    }

    fn otherwise(
        &mut self,
        path: &str,
        keyword: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        if before != after {
            let shown = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
            let (before, after) = (shown(before), shown(after));
            let keyword = keyword.to_owned();
            self.breach(path, What::Otherwise { keyword, before, after });
        }
    }
}

/// Normalizes a nullable schema: an alternative of a type and null becomes a list of types, if both are
/// equivalent.
fn in_one_form(schema: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let Some([Value::Object(other), null]) = alternatives.map(Vec::as_slice) else {
        return Cow::Borrowed(schema);
    };
    // These keywords would then constrain null as well.
    let says_more = ["$ref", "allOf", "anyOf", "const", "enum", "not", "oneOf"];
    let has_own_keywords = schema.keys().any(|one| one != "anyOf" && !TEXTS.contains(&&**one));
    match other.get("type") {
        Some(Value::String(name))
            if *null == json!({ "type": "null" })
                && !has_own_keywords
                && !says_more.iter().any(|keyword| other.contains_key(*keyword)) =>
        {
            let mut nullable = other.clone();
            nullable.insert("type".to_owned(), json!([name, "null"]));
            Cow::Owned(nullable)
        }
        _ => Cow::Borrowed(schema),
    }
}

fn fields(schema: &Map<String, Value>) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn requires(schema: &Map<String, Value>, field: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|name| name == field))
}

/// Returns the label of an alternative: its constant value, or that of its tag.
fn label(choice: &Value) -> Option<String> {
    if let Some(value) = choice.get("const") {
        return Some(value.to_string());
    }
    if choice.get("type").is_some_and(|kind| kind == "null") {
        return Some("null".to_owned());
    }
    let tags = choice.get("properties")?.as_object()?.iter();
    let mut tags = tags.filter_map(|(name, field)| Some((name, field.get("const")?)));
    tags.next().map(|(name, value)| format!("{name} {value}"))
}

#[cfg(test)]
#[allow(dead_code, reason = "the tests use only the schema of most of these types")]
mod tests {
    use schemars::{JsonSchema, Schema, schema_for};
    use serde::Serialize;

    use super::*;

    #[track_caller]
    fn messages(published: Schema, present: Schema) -> Vec<String> {
        let breaches = breaches(&published.to_value(), &present.to_value());
        breaches.iter().map(ToString::to_string).collect()
    }

    mod published {
        use super::*;

        /// A boat was sold.
        #[derive(JsonSchema, Serialize)]
        pub struct BoatSold {
            pub name: String,
            pub length: Option<u32>,
            pub crew: Vec<Sailor>,
            pub rig: Rig,
            pub end: End,
        }

        #[derive(JsonSchema, Serialize)]
        pub struct Sailor {
            pub share: String,
        }

        #[derive(JsonSchema, Serialize)]
        pub enum Rig {
            Sloop,
            Ketch,
        }

        #[derive(JsonSchema, Serialize)]
        #[serde(tag = "cause")]
        pub enum End {
            Sunk { depth: u32 },
            Scrapped,
        }
    }

    use published::{BoatSold, End, Rig, Sailor};

    #[test]
    fn what_is_the_same_but_for_its_words_is_no_breach() {
        /// Somebody bought a boat.
        #[derive(JsonSchema, Serialize)]
        struct Reworded {
            /// What is painted on it.
            name: String,
            length: Option<u32>,
            crew: Vec<Sailor>,
            rig: Rig,
            end: End,
        }
        assert!(messages(schema_for!(BoatSold), schema_for!(Reworded)).is_empty());
    }

    #[test]
    fn new_optional_fields_are_no_breach_at_any_depth() {
        #[derive(JsonSchema, Serialize)]
        struct Extended {
            name: String,
            length: Option<u32>,
            beam: Option<u32>,
            crew: Vec<Sailor>,
            rig: Rig,
            end: End,
            #[serde(default)]
            flags: Vec<String>,
        }
        assert!(messages(schema_for!(BoatSold), schema_for!(Extended)).is_empty());
    }

    #[test]
    fn that_something_may_be_null_can_be_said_in_two_ways() {
        let object = json!({ "type": "object", "properties": { "at": { "type": "integer" } } });
        let mut as_type = object.clone();
        as_type["type"] = json!(["object", "null"]);
        let as_alternative =
            json!({ "anyOf": [object, { "type": "null" }], "description": "Either." });
        assert_eq!(breaches(&as_alternative, &as_type), []);
        assert_eq!(breaches(&as_type, &as_alternative), []);
        as_type["properties"]["at"]["type"] = json!("string");
        assert_eq!(breaches(&as_alternative, &as_type).len(), 1);
        // An enumeration without null does not admit it, whatever the type says.
        let listed = json!({ "type": "string", "enum": ["Sloop"] });
        let before = json!({ "anyOf": [listed, { "type": "null" }] });
        let after = json!({ "type": ["string", "null"], "enum": ["Sloop"] });
        assert!(!breaches(&before, &after).is_empty());
    }

    #[test]
    fn a_breach_names_the_field_and_what_became_of_it() {
        #[derive(JsonSchema, Serialize)]
        struct Broken {
            name: u32,
            length: u32,
            crew: Vec<Landlubber>,
            rig: OtherRig,
            end: OtherEnd,
            price: String,
        }
        #[derive(JsonSchema, Serialize)]
        struct Landlubber {
            share: Option<String>,
        }
        #[derive(JsonSchema, Serialize)]
        enum OtherRig {
            Ketch,
            Yawl,
        }
        #[derive(JsonSchema, Serialize)]
        #[serde(tag = "cause")]
        enum OtherEnd {
            Sunk {},
            Scrapped,
        }
        let settings = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true);
        let published = settings.clone().into_generator().into_root_schema_for::<BoatSold>();
        let present = settings.into_generator().into_root_schema_for::<Broken>();
        let messages = messages(published, present);
        let expected = [
            "field `crew[].share` was required and is optional",
            "field `crew[].share` changed its `type` from \"string\" to [\"string\",\"null\"]",
            "field `end.depth` was removed",
            "field `length` was optional and is required",
            "field `length` changed its `type` from [\"integer\",\"null\"] to \"integer\"",
            "field `name` changed its `type` from \"string\" to \"integer\"",
            "field `price` is new and required",
            "field `rig` can no longer be \"Sloop\"",
            "field `rig` can now be \"Yawl\", too",
        ];
        for (message, expected) in messages.iter().filter(|one| !is_format(one)).zip(expected) {
            assert_eq!(message, expected);
        }
        assert_eq!(
            messages.iter().filter(|one| !is_format(one)).count(),
            expected.len(),
            "{messages:#?}"
        );
    }

    /// A number has a format and a minimum besides its type.
    fn is_format(message: &str) -> bool {
        message.contains("`format`") || message.contains("`minimum`")
    }
}
