//! The documentation pages of the modules, in Markdown.

use std::collections::BTreeMap;

use super::canvas::{Canvas, Consumed, Listener, PublishedFamily, Route, Stream};
use super::contracts::record::file_of;

const GENERATED: &str = "<!-- Written by `make generate` from the code. Do not edit. -->";

/// Returns the overview page with all modules.
pub fn overview(canvases: &[Canvas]) -> String {
    let rows = canvases.iter().map(|canvas| {
        let published = match canvas.publishes.len() {
            0 => String::new(),
            1 => "1 event".to_owned(),
            count => format!("{count} events"),
        };
        let from: Vec<&str> = sources(canvas).into_keys().collect();
        [linked(&[canvas.name]), canvas.purpose.to_owned(), published, from.join(", ")]
    });
    let parts = [
        GENERATED.to_owned(),
        "# Modules".to_owned(),
        "The events, subscriptions, tables and routes of each module, generated from the code. \
         Modules depend on each other only through their events. `GET /admin/modules` returns the \
         same for a running system, with the position of every subscription. \
         [openapi/asyncapi.json](../../openapi/asyncapi.json) is the machine-readable form."
            .to_owned(),
        graph(canvases),
        table(&["module", "purpose", "publishes", "subscribes to"], rows),
    ];
    joined(&parts)
}

/// Returns the page about one module.
pub fn of(canvas: &Canvas) -> String {
    let Canvas { publishes, consumes, streams, tables, routes, subscriptions, .. } = canvas;
    let columns = ["event", "versions", "stream", "consumers"];
    let parts = [
        GENERATED.to_owned(),
        format!("# {}", canvas.name),
        canvas.purpose.to_owned(),
        section("Publishes", &columns, publishes, published),
        section("Subscribes to", &["event", "published by", "read by"], consumes, consumed),
        section("Subscriptions", &["name", "kind", "events"], subscriptions, subscription),
        section("Streams", &["name", "published events", "internal events"], streams, stream),
        section("Tables", &["name"], tables, |table| [code(table)]),
        section("Routes", &["method", "path", "summary"], routes, route),
    ];
    joined(&parts)
}

fn joined(parts: &[String]) -> String {
    format!("{}\n", parts.join("\n\n"))
}

fn section<T, const N: usize>(
    title: &str,
    columns: &[&str; N],
    items: &[T],
    row: impl Fn(&T) -> [String; N],
) -> String {
    let content = match items {
        [] => "None.".to_owned(),
        items => table(columns, items.iter().map(row)),
    };
    format!("## {title}\n\n{content}")
}

fn table<const N: usize>(columns: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let header = format!("| {} |\n|{}", columns.join(" | "), "---|".repeat(N));
    let rows = rows.map(|row| format!("| {} |", row.join(" | ")));
    std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n")
}

/// Returns the graph of the events between modules.
fn graph(canvases: &[Canvas]) -> String {
    let nodes = canvases.iter().map(|canvas| format!("    {}", canvas.name));
    let edges = canvases.iter().flat_map(|canvas| {
        let sources = sources(canvas).into_iter();
        sources.map(|(from, events)| {
            format!("    {from} -->|{}| {}", events.join("<br/>"), canvas.name)
        })
    });
    let lines: Vec<String> = nodes.chain(edges).collect();
    format!("```mermaid\nflowchart LR\n{}\n```", lines.join("\n"))
}

/// Returns the modules whose events a module reads, each with the names of these events.
fn sources(canvas: &Canvas) -> BTreeMap<&str, Vec<&str>> {
    let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for consumed in &canvas.consumes {
        let event = consumed.event.split_once('.').map_or(&*consumed.event, |(_, event)| event);
        sources.entry(&consumed.from).or_default().push(event);
    }
    sources
}

fn published(event: &PublishedFamily) -> [String; 4] {
    let schemas = event.versions.iter().map(|event_type| {
        let version = event_type.rsplit('.').next().unwrap_or_default();
        let schema = format!("[{version}](../../openapi/events/{})", file_of(event_type));
        if event.written == Some(event_type) { schema } else { format!("{schema} (read only)") }
    });
    let schemas: Vec<String> = schemas.collect();
    let stream = event.stream.map(named_stream).unwrap_or_default();
    [code(&event.event), schemas.join(", "), stream, linked(&event.consumers)]
}

fn consumed(event: &Consumed) -> [String; 3] {
    [code(&event.event), linked(&[&event.from]), coded(&event.by)]
}

fn subscription(listener: &Listener) -> [String; 3] {
    [code(&listener.name), listener.kind.to_owned(), coded(&listener.events)]
}

fn stream(stream: &Stream) -> [String; 3] {
    [named_stream(stream.category), coded(&stream.published), coded(&stream.internal)]
}

fn route(route: &Route) -> [String; 3] {
    [route.method.to_owned(), code(&route.path), route.summary.clone()]
}

fn named_stream(category: &str) -> String {
    code(&format!("{category}-{{id}}"))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn coded(texts: &[String]) -> String {
    texts.iter().map(|text| code(text)).collect::<Vec<_>>().join(", ")
}

fn linked(modules: &[&str]) -> String {
    let links = modules.iter().map(|name| format!("[{name}]({name}.md)"));
    links.collect::<Vec<_>>().join(", ")
}
