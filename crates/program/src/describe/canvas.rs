//! What one module is to those around it, on one sheet.

use std::collections::{BTreeMap, BTreeSet};

use kernel::event::family;
use kernel::subscription::Identity;
use module::ModuleDescription;
use serde::Serialize;
use utoipa::openapi::path::{Operation, PathItem};

use super::{Descriptions, openapi, publisher_of};

/// What a module publishes, listens to, keeps and serves.
#[derive(Debug, Clone, Serialize)]
pub struct Canvas<S = Listener> {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// The events it publishes.
    pub publishes: Vec<PublishedFamily>,
    /// The events of other modules it listens to.
    pub consumes: Vec<Consumed>,
    /// The streams that it alone writes to.
    pub streams: Vec<Stream>,
    /// The tables of its database.
    pub tables: Vec<&'static str>,
    /// What it serves to clients.
    pub routes: Vec<Route>,
    /// Its projections, policies and reactors.
    pub subscriptions: Vec<S>,
}

impl Canvas {
    /// The same, with more said of each subscription.
    pub fn with<S>(self, more: impl FnMut(Listener) -> S) -> Canvas<S> {
        let Self { name, purpose, publishes, consumes, streams, tables, routes, .. } = self;
        let subscriptions = self.subscriptions.into_iter().map(more).collect();
        Canvas { name, purpose, publishes, consumes, streams, tables, routes, subscriptions }
    }
}

/// An event in all its versions.
#[derive(Debug, Clone, Serialize)]
pub struct PublishedFamily {
    /// `orders.OrderPlaced`.
    pub event: String,
    /// The types it is or was written as, oldest first.
    pub versions: Vec<&'static str>,
    /// The one that is written now.
    pub written: Option<&'static str>,
    /// The category of the streams it is written to.
    pub stream: Option<&'static str>,
    /// The other modules that listen to it.
    pub consumers: Vec<&'static str>,
}

/// An event of another module.
#[derive(Debug, Clone, Serialize)]
pub struct Consumed {
    /// `orders.OrderPlaced`.
    pub event: String,
    /// Whose it is.
    pub from: String,
    /// The subscriptions that read it.
    pub by: Vec<String>,
}

/// Streams of one category.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// The first part of their names.
    pub category: &'static str,
    /// The events written there that are published.
    pub published: Vec<String>,
    /// The events written there that no other module may rely on.
    pub internal: Vec<String>,
}

/// An operation of the public API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Route {
    /// The path.
    pub path: String,
    /// `GET`.
    pub method: &'static str,
    /// What it does.
    pub summary: String,
}

/// A subscription.
#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    /// Its name; of a projection with the version.
    pub name: String,
    /// `projection`, `policy` or `reactor`.
    pub kind: &'static str,
    /// The events it reads.
    pub events: Vec<String>,
}

/// The canvases of all modules.
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

/// What the API's description says, by tag: the name of a module.
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
