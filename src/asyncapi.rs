//! The AsyncAPI description of the events: which streams there are, what is written to them, who
//! publishes and who listens. Made from what the modules are; the schemas are those of
//! `openapi/events`, beside which the description belongs.

use event_contract::PublishedEvent;
use kernel::description::{ModuleDescription, StreamCategory};
use kernel::subscription::Identity;
use serde_json::{Map, Value, json};

use crate::{contracts, modules};

const METADATA: &str = "#/components/schemas/Metadata";
const CORRELATION: &str = "#/components/correlationIds/Correlation";

/// The whole description.
pub fn document() -> Value {
    document_of(&modules::descriptions())
}

/// The description of some modules.
fn document_of(modules: &[ModuleDescription]) -> Value {
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
            "description": "The events that the modules publish, and who listens to them. A channel \
                is every stream of one category; a message is one version of one event, which is \
                stored for ever. What a subscription receives in an older version it reads as the \
                newest.",
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
                    "description": "The same on everything that followed from one request or import.",
                    "location": "$message.header#/$correlationId",
                },
            },
        },
    })
}

/// The published events of a category. What else is written there no other module may rely on.
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
            "One stream for each {category}, written to by the module {} alone.", module.name
        ),
        "parameters": { "id": { "description": format!("Identifies the {category}: a UUID.") } },
        "messages": messages,
        "tags": [{ "name": module.name }],
    })
}

/// What a module does with the events of a channel.
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
        "payload": { "$ref": format!("./events/{}", contracts::file_of(event_type)) },
        "tags": [{ "name": module.name }],
    });
    let is_written =
        module.categories.iter().any(|category| category.written.contains(&event_type));
    if !is_written {
        message["description"] =
            "Written by other releases only. What is stored of it is read as the newest version."
                .into();
    }
    message
}

/// What travels with every event.
fn metadata() -> Value {
    json!({
        "type": "object",
        "description": "What travels with every event.",
        "properties": {
            "$correlationId": {
                "type": "string",
                "format": "uuid",
                "description": "What the whole chain of events began with.",
            },
            "$causationId": {
                "type": "string",
                "format": "uuid",
                "description": "The event that this one reacts to.",
            },
            "traceparent": {
                "type": "string",
                "description": "W3C trace context of the request that began it.",
            },
            "actor": { "type": "string", "description": "Who asked for it." },
            "origin_system": {
                "type": "string",
                "description":
                    "The system in which it happened: `bascule`, or the name of a legacy system.",
            },
            "occurred_at": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened there.",
            },
        },
        "required": ["$correlationId", "actor", "origin_system", "occurred_at"],
    })
}

#[cfg(test)]
mod tests;
