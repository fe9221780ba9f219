//! The AsyncAPI description of the events: the streams, their messages, publishers and subscribers.
//! Generated from the modules' descriptions; it refers to the schemas in `openapi/events`, next to which
//! it is stored.

use event_contract::PublishedEvent;
use kernel::subscription::Identity;
use module::{ModuleDescription, StreamCategory};
use serde_json::{Map, Value, json};

use crate::describe::Descriptions;
use crate::describe::contracts::record::file_of;

const METADATA: &str = "#/components/schemas/Metadata";
const CORRELATION: &str = "#/components/correlationIds/Correlation";

/// Returns the whole description.
pub fn document(Descriptions(modules): &Descriptions) -> Value {
    let tags: Vec<Value> = modules
        .iter()
        .map(|module| json!({ "name": module.name, "description": module.purpose }))
        .collect();
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for module in modules {
        for event in module.published {
            messages.insert(event.event_type.to_owned(), message(event, module));
        }
        for category in &module.categories {
            let events = published_in(category, module);
            if events.is_empty() {
                continue;
            }
            channels.insert(category.name.to_owned(), channel(category.name, module, &events));
            let written = events.iter().copied().filter(|one| category.written.contains(one));
            let operation = operation(Action::Send, module, category.name, written);
            operations.insert(format!("{}.{}", module.name, category.name), operation);
        }
    }
    for module in modules {
        for subscription in &module.subscriptions {
            for publisher in modules {
                for category in &publisher.categories {
                    let events = published_in(category, publisher);
                    let read: Vec<&str> =
                        events.into_iter().filter(|one| subscription.reads(one)).collect();
                    if !read.is_empty() {
                        let action = Action::Receive(subscription);
                        let operation = operation(action, module, category.name, read.into_iter());
                        let name = format!("{}.{}", subscription.name, category.name);
                        operations.insert(name, operation);
                    }
                }
            }
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "bascule",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The events that the modules publish, and their subscribers. A channel \
                stands for all streams of one category; a message is one version of one event, which \
                is stored for ever. A subscription reads older versions as the newest version.",
            "license": { "name": "MIT OR Apache-2.0" },
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": { "Metadata": metadata() },
            "correlationIds": {
                "Correlation": {
                    "description": "Identical on all events that one request or import caused.",
                    "location": "$message.header#/$correlationId",
                },
            },
        },
    })
}

/// Returns the published events of a category. Other modules must not rely on the other events in it.
fn published_in(category: &StreamCategory, module: &ModuleDescription) -> Vec<&'static str> {
    let types = module.published.iter().map(|event| event.event_type);
    types.filter(|event_type| category.readable.contains(event_type)).collect()
}

fn channel(category: &str, module: &ModuleDescription, events: &[&str]) -> Value {
    let messages: Map<String, Value> = events
        .iter()
        .map(|event| {
            ((*event).to_owned(), json!({ "$ref": format!("#/components/messages/{event}") }))
        })
        .collect();
    json!({
        "address": format!("{category}-{{id}}"),
        "title": format!("Streams of category {category}"),
        "description": format!(
            "One stream per {category}. Only the module {} writes to it.", module.name
        ),
        "parameters": { "id": { "description": format!("Id of the {category}, a UUID.") } },
        "messages": messages,
        "tags": [{ "name": module.name }],
    })
}

/// The operation of a module on a channel.
enum Action<'i> {
    Send,
    Receive(&'i Identity),
}

fn operation<'e>(
    action: Action<'_>,
    module: &ModuleDescription,
    category: &str,
    events: impl Iterator<Item = &'e str>,
) -> Value {
    let messages: Vec<Value> = events
        .map(|event| json!({ "$ref": format!("#/channels/{category}/messages/{event}") }))
        .collect();
    let name = module.name;
    let (verb, summary) = match action {
        Action::Send => ("send", format!("The module {name} writes to its streams {category}-….")),
        Action::Receive(Identity { name: subscription, kind, .. }) => (
            "receive",
            format!("The {} {subscription} reads the streams {category}-….", kind.as_str()),
        ),
    };
    json!({
        "action": verb,
        "channel": { "$ref": format!("#/channels/{category}") },
        "summary": summary,
        "tags": [{ "name": name }],
        "messages": messages,
    })
}

fn message(event: &PublishedEvent, module: &ModuleDescription) -> Value {
    let event_type = event.event_type;
    let schema = event.schema().to_value();
    let described = schema["description"].as_str().unwrap_or_default();
    let summary = described.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let mut message = json!({
        "name": event_type,
        "summary": summary,
        "headers": { "$ref": METADATA },
        "correlationId": { "$ref": CORRELATION },
        "payload": { "$ref": format!("./events/{}", file_of(event_type)) },
        "tags": [{ "name": module.name }],
    });
    let is_written =
        module.categories.iter().any(|category| category.written.contains(&event_type));
    if !is_written {
        message["description"] =
            "Written only by other releases. Stored events of this version are read as the newest version."
                .into();
    }
    message
}

/// Returns the schema of the metadata of every event.
fn metadata() -> Value {
    json!({
        "type": "object",
        "description": "Metadata of every event.",
        "properties": {
            "$correlationId": {
                "type": "string",
                "format": "uuid",
                "description": "Id of the request or import that started the chain of events.",
            },
            "$causationId": {
                "type": "string",
                "format": "uuid",
                "description": "Id of the event that caused this one.",
            },
            "traceparent": {
                "type": "string",
                "description": "W3C trace context of the request that started the chain of events.",
            },
            "actor": { "type": "string", "description": "The actor that requested the change." },
            "origin_system": {
                "type": "string",
                "description":
                    "System in which the event happened: `bascule`, or the name of a legacy system.",
            },
            "occurred_at": {
                "type": "string",
                "format": "date-time",
                "description": "Time of the event in that system.",
            },
        },
        "required": ["$correlationId", "actor", "origin_system", "occurred_at"],
    })
}
