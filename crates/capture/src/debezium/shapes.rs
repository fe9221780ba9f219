//! Recognises records in the formats of other tools, transforms and connectors, and names the setting
//! that produces the supported format. Never quotes a value.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::CONNECTOR;

/// How to export lines from Kafka.
const WRITE_LINES: &str = "write one object {\"topic\", \"key\", \"value\"} a line, such as with \
    `kcat -C -e -Z -t TOPIC -f '{\"topic\":\"%t\",\"key\":%k,\"value\":%s}\\n' | sed \
    's/\"value\":NULL}$/\"value\":null}/'`";
const ONE_ARRAY: &str = "the file is one JSON array: write each record on a line of its own, such \
    as with `jq -c '.[]'`";
const WRAPPED: &str = "it carries its schema: set `key.converter.schemas.enable=false` and \
    `value.converter.schemas.enable=false` (Debezium Server: \
    `debezium.format.schemas.enable=false`)";

/// Returns the format of a JSON line that lacks members of a record.
pub(super) fn of(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    let Value::Object(outer) = value else {
        return value.is_array().then(|| ONE_ARRAY.to_owned());
    };
    if outer.contains_key("payload") && outer.contains_key("offset") {
        return Some(format!("it is written by `kcat -J`: {WRITE_LINES}"));
    }
    if outer.contains_key("op") && outer.contains_key("source") {
        return Some(format!("it is a record's value alone, without topic and key: {WRITE_LINES}"));
    }
    if is_wrapped(&outer) {
        return Some(WRAPPED.to_owned());
    }
    let value = outer.get("value")?;
    if let Value::String(text) = value {
        let holds_json = matches!(serde_json::from_str(text), Ok(Value::Object(_)));
        let text = if holds_json {
            "`value` is a text that holds JSON: write it as the object itself"
        } else {
            "`value` is a text: use Kafka Connect's JsonConverter for keys and values"
        };
        return Some(text.to_owned());
    }
    let value = value.as_object()?;
    let key = outer.get("key").and_then(Value::as_object);
    if is_wrapped(value) || key.is_some_and(is_wrapped) {
        return Some(WRAPPED.to_owned());
    }
    if value.contains_key("specversion") {
        let text = "it is a CloudEvent: set `debezium.format.value=json`, or the JsonConverter in \
                    the place of the CloudEventsConverter";
        return Some(text.to_owned());
    }
    let source = value.get("source").and_then(Value::as_object);
    if let Some(connector) = source.and_then(|source| source.get("connector")?.as_str())
        && connector != CONNECTOR
    {
        return Some(of_connector(connector));
    }
    if source.is_some_and(is_avro) {
        let text = "its fields are wrapped in their types, as an Avro console consumer writes \
                    them: use Kafka Connect's JsonConverter for keys and values";
        return Some(text.to_owned());
    }
    if !value.contains_key("op") && !value.contains_key("source") {
        let text = "`value` is the row alone, without `op`, `source` and `after`: take the \
                    transform ExtractNewRecordState out of the connector";
        return Some(text.to_owned());
    }
    None
}

/// Returns the format of a line that is not JSON.
pub(super) fn not_json(line: &str) -> Option<String> {
    if line.ends_with("\"value\":}") || line.ends_with("\"value\":NULL}") {
        return Some(format!(
            "its value is a tombstone as kcat writes it, which must be null: {WRITE_LINES}"
        ));
    }
    if line.contains("\"key\":,") || line.contains("\"key\":NULL,") {
        return Some(format!("its key is empty as kcat writes it: {}", no_key()));
    }
    if let Some((key, _)) = line.split_once('\t')
        && serde_json::from_str::<Value>(key).is_ok()
    {
        return Some(format!("key and value are separated by a tab: {WRITE_LINES}"));
    }
    if line.starts_with('\u{1e}') {
        let text = "each record begins with a record separator, as in JSON text sequences (RFC \
                    7464): take it out, such as with `tr -d '\\036'`";
        return Some(text.to_owned());
    }
    if line.strip_suffix(',').is_some_and(is_object) {
        let text = "a comma follows the record: take it out, such as with `sed 's/,$//'`";
        return Some(text.to_owned());
    }
    if line.split_once('\r').is_some_and(|(first, _)| is_object(first)) {
        let text = "lines end with a carriage return alone: make line breaks of them, such as with \
                    `tr '\\r' '\\n'`";
        return Some(text.to_owned());
    }
    if serde_json::Deserializer::from_str(line).into_iter::<IgnoredAny>().take(2).count() == 2
        && line.starts_with('{')
        && line.contains("}{")
    {
        let text = "several records stand on one line: write each on one of its own, such as with \
                    `jq -c .`";
        return Some(text.to_owned());
    }
    if matches!(line, "{" | "[" | "[{") {
        let text = "a record spreads over several lines: write each on one line, such as with \
                    `jq -c .`";
        return Some(text.to_owned());
    }
    if line.starts_with("[{") {
        return Some(ONE_ARRAY.to_owned());
    }
    let bare = [":NaN", ":Infinity", ":-Infinity", ": NaN", ": Infinity", ": -Infinity"];
    if bare.iter().any(|bare| line.contains(bare)) {
        let text = "it holds NaN or Infinity as a bare word, which JSON does not have: write it \
                    as text";
        return Some(text.to_owned());
    }
    None
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

/// Returns the first of the fields that define the order of records whose value is not a whole number.
pub(super) fn misread_number(value: &str) -> Option<String> {
    let value: Value = serde_json::from_str(value).ok()?;
    let source = value.get("source")?;
    let is_wrong = |name: &&str| {
        source.get(*name).is_some_and(|number| !number.is_null() && number.as_i64().is_none())
    };
    let name = ["lsn", "txId", "ts_ms"].into_iter().find(is_wrong)?;
    Some(format!("`source.{name}` is not a whole number"))
}

/// Returns the error of records of a connector that is not supported.
pub(super) fn of_connector(connector: &str) -> String {
    let known: String = connector.chars().filter(char::is_ascii_alphanumeric).take(30).collect();
    format!(
        "it comes from the connector `{known}`; only records of the connector `{CONNECTOR}` can be \
         imported"
    )
}

/// Returns what to do about records without a key.
pub(super) fn no_key() -> &'static str {
    "the table has no primary key: set `message.key.columns` in the connector, or give it one"
}

fn is_wrapped(members: &Map<String, Value>) -> bool {
    members.contains_key("schema") && members.contains_key("payload")
}

/// Returns whether fields are encoded as `{"long": 5}`.
fn is_avro(source: &Map<String, Value>) -> bool {
    let typed = |value: &Value| {
        let members = value.as_object().filter(|members| members.len() == 1);
        let name = members.and_then(|members| members.keys().next());
        name.is_some_and(|name| matches!(&**name, "long" | "int" | "string" | "boolean"))
    };
    source.values().any(typed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Line;

    macro_rules! sample {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/data/legacies/shapes/", $name, ".jsonl"))
        };
    }

    /// Kinds: `edenhill/kcat#52`, the samples of Flink, Paimon and SeaTunnel.
    #[rstest]
    #[case(sample!("avro-json"), "Avro console")]
    #[case(sample!("cloudevents"), "a CloudEvent")]
    #[case(sample!("console-tab"), "by a tab")]
    #[case(sample!("kcat-J"), "`kcat -J`")]
    #[case(sample!("kcat-Z-tombstone"), "must be null")]
    #[case("{\"topic\":\"leg.public.client\",\"key\":{\"id\":7},\"value\":}", "must be null")]
    #[case("{\"topic\":\"leg.public.client\",\"key\":,\"value\":{}}", "message.key.columns")]
    #[case(sample!("mysql"), "the connector `mysql`")]
    #[case(sample!("oracle"), "the connector `oracle`")]
    #[case(sample!("sqlserver"), "the connector `sqlserver`")]
    #[case(sample!("schema-wrapped"), "schemas.enable=false")]
    #[case(sample!("unwrapped"), "ExtractNewRecordState")]
    #[case(sample!("value-as-text"), "a text that holds JSON")]
    #[case(sample!("value-only"), "value alone")]
    #[case("[{\"topic\":\"leg.public.client\"}]", "one JSON array")]
    #[case("[{\"topic\":\"leg.public.client\"},", "one JSON array")]
    #[case("{", "several lines")]
    #[case("\u{1e}{\"topic\":\"t\",\"key\":null,\"value\":null}", "a record separator")]
    #[case("{\"topic\":\"t\",\"key\":null,\"value\":null},", "a comma follows")]
    #[case(
        "{\"topic\":\"t\",\"value\":null}\r{\"topic\":\"t\",\"value\":null}",
        "a carriage return"
    )]
    #[case("{\"topic\":\"t\",\"value\":null}{\"topic\":\"t\",\"value\":null}", "several records")]
    #[case(
        "{\"topic\":\"t\",\"key\":{},\"value\":{\"op\":\"c\",\"source\":{\"lsn\":\"1\",\"txId\":1}}}",
        "`source.lsn` is not a whole number"
    )]
    #[case("{\"topic\":\"t\",\"key\":{\"id\":NaN},\"value\":null}", "a bare word")]
    fn the_shape_is_named_with_what_to_set(#[case] line: &str, #[case] said: &str) {
        let line = line.trim();
        let read = Line::read(line, true).and_then(|line| line.record("client").map(drop));
        let text = read.unwrap_err().to_string();
        assert!(text.contains(said), "{text}");
    }
}
