//! The canvas of a module: its interfaces to other modules and to clients, on one page.

use std::collections::{BTreeMap, BTreeSet};

use kernel::event::family;
use kernel::subscription::Identity;
use module::ModuleDescription;
use serde::Serialize;
use utoipa::openapi::path::{Operation, PathItem};

use super::{Descriptions, openapi, publisher_of};

/// The events, subscriptions, tables and routes of a module.
#[derive(Debug, Clone, Serialize)]
pub struct Canvas<S = Listener> {
    /// Name of the module.
    pub name: &'static str,
    /// Purpose of the module.
    pub purpose: &'static str,
    /// The events that the module publishes.
    pub publishes: Vec<PublishedFamily>,
    /// The events of other modules that the module reads.
    pub consumes: Vec<Consumed>,
    /// The streams that only the module writes to.
    pub streams: Vec<Stream>,
    /// The tables of the module's database.
    pub tables: Vec<&'static str>,
    /// The operations of the public API.
    pub routes: Vec<Route>,
    /// The module's projections, policies and reactors.
    pub subscriptions: Vec<S>,
}

impl Canvas {
    /// Returns the canvas with more information on each subscription.
    pub fn with<S>(self, more: impl FnMut(Listener) -> S) -> Canvas<S> {
        let Self { name, purpose, publishes, consumes, streams, tables, routes, .. } = self;
        let subscriptions = self.subscriptions.into_iter().map(more).collect();
        Canvas { name, purpose, publishes, consumes, streams, tables, routes, subscriptions }
    }
}

/// A published event with all its versions.
#[derive(Debug, Clone, Serialize)]
pub struct PublishedFamily {
    /// Name of the event, such as `orders.OrderPlaced`.
    pub event: String,
    /// Event types of the versions, oldest first.
    pub versions: Vec<&'static str>,
    /// Event type that this release writes.
    pub written: Option<&'static str>,
    /// Category of the streams that contain the event.
    pub stream: Option<&'static str>,
    /// The other modules that read the event.
    pub consumers: Vec<&'static str>,
}

/// An event of another module.
#[derive(Debug, Clone, Serialize)]
pub struct Consumed {
    /// Name of the event, such as `orders.OrderPlaced`.
    pub event: String,
    /// The module that publishes the event.
    pub from: String,
    /// The subscriptions that read the event.
    pub by: Vec<String>,
}

/// Streams of one category.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// The category: the first part of the streams' names.
    pub category: &'static str,
    /// The published events in these streams.
    pub published: Vec<String>,
    /// The internal events in these streams, on which other modules must not rely.
    pub internal: Vec<String>,
}

/// An operation of the public API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Route {
    /// Path of the operation.
    pub path: String,
    /// HTTP method, such as `GET`.
    pub method: &'static str,
    /// Summary of the operation.
    pub summary: String,
}

/// A subscription.
#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    /// Name of the subscription, with the version for a projection.
    pub name: String,
    /// `projection`, `policy` or `reactor`.
    pub kind: &'static str,
    /// The events that the subscription reads.
    pub events: Vec<String>,
}

/// Returns the canvases of all modules.
pub fn canvases(modules: &Descriptions) -> Vec<Canvas> {
    let routes = routes(modules);
    let Descriptions(all) = modules;
    all.iter().map(|module| canvas(module, all, &routes)).collect()
}

fn canvas(
    module: &ModuleDescription,
    all: &[ModuleDescription],
    routes: &BTreeMap<String, BTreeSet<Route>>,
) -> Canvas {
    let served = routes.get(module.name);
    Canvas {
        name: module.name,
        purpose: module.purpose,
        publishes: published(module, all),
        consumes: consumed(module),
        streams: streams(module),
        tables: module.tables.clone(),
        routes: served.into_iter().flatten().cloned().collect(),
        subscriptions: module.subscriptions.iter().map(listener).collect(),
    }
}

fn listener(identity: &Identity) -> Listener {
    Listener {
        name: identity.name.clone(),
        kind: identity.kind.as_str(),
        events: identity.families().into_iter().collect(),
    }
}

fn published(module: &ModuleDescription, all: &[ModuleDescription]) -> Vec<PublishedFamily> {
    let mut families: Vec<PublishedFamily> = Vec::new();
    for event in module.published {
        let Some(name) = family(event.event_type) else { continue };
        if let Some(known) = families.iter_mut().find(|known| known.event == name) {
            known.versions.push(event.event_type);
            continue;
        }
        let is_it = |event_type: &&'static str| family(event_type) == Some(name);
        let mut categories = module.categories.iter();
        let category = categories.find(|category| category.readable.iter().any(is_it));
        let others = all.iter().filter(|other| other.name != module.name);
        let consumers = others.filter(|other| {
            other.subscriptions.iter().any(|subscription| subscription.families().contains(name))
        });
        families.push(PublishedFamily {
            event: name.to_owned(),
            versions: vec![event.event_type],
            written: category.and_then(|category| category.written.iter().copied().find(is_it)),
            stream: category.map(|category| category.name),
            consumers: consumers.map(|other| other.name).collect(),
        });
    }
    families
}

fn consumed(module: &ModuleDescription) -> Vec<Consumed> {
    let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for subscription in &module.subscriptions {
        for event in subscription.families() {
            if publisher_of(&event) != module.name {
                readers.entry(event).or_default().push(subscription.name.clone());
            }
        }
    }
    let consumed = readers.into_iter();
    consumed
        .map(|(event, by)| Consumed { from: publisher_of(&event).to_owned(), event, by })
        .collect()
}

fn streams(module: &ModuleDescription) -> Vec<Stream> {
    let is_published =
        |name: &&str| module.published.iter().any(|event| family(event.event_type) == Some(*name));
    let streams = module.categories.iter().map(|category| {
        let families: BTreeSet<&str> =
            category.readable.iter().filter_map(|event_type| family(event_type)).collect();
        let (published, internal): (Vec<&str>, Vec<&str>) =
            families.into_iter().partition(is_published);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Stream { category: category.name, published: owned(published), internal: owned(internal) }
    });
    streams.collect()
}

/// Returns the operations of the OpenAPI description by tag, which is the name of a module.
fn routes(modules: &Descriptions) -> BTreeMap<String, BTreeSet<Route>> {
    let mut routes: BTreeMap<String, BTreeSet<Route>> = BTreeMap::new();
    for (path, item) in openapi::document(modules).paths.paths {
        for (method, operation) in operations(&item) {
            let summary = operation.summary.clone().unwrap_or_default();
            for tag in operation.tags.iter().flatten() {
                let route = Route { path: path.clone(), method, summary: summary.clone() };
                routes.entry(tag.clone()).or_default().insert(route);
            }
        }
    }
    routes
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let operations = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
    ];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}
