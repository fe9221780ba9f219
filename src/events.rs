//! `bascule events`: looking at the log.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use kernel::codec::Codec;
use kernel::event::{EventFilter, RecordedEvent, StreamName};
use kernel::store::EventStore;
use kernel::subscription::{Delivery, LogReader};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::compose;
use crate::configuration::Configuration;
use crate::{output, stores};

/// How events are printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// One JSON object a line, for machines
    #[arg(long)]
    json: bool,
    /// Open personal data instead of hiding it
    #[arg(long)]
    personal: bool,
}

const PAGE: usize = 500;

/// Prints events in a form.
pub struct Printer {
    codec: Codec,
    form: Form,
}

impl Form {
    /// One JSON object a line, for machines.
    pub fn is_json(self) -> bool {
        self.json
    }
}

impl Printer {
    /// A printer of events that `codec` can open.
    pub fn new(codec: Codec, form: Form) -> Self {
        Self { codec, form }
    }

    async fn data(&self, event: &RecordedEvent) -> anyhow::Result<Value> {
        if self.form.personal && event.foreign.is_none() {
            return Ok(self.codec.readable_data(event).await?);
        }
        hidden_data(event)
    }

    /// An event for machines.
    pub async fn json(&self, event: &RecordedEvent) -> anyhow::Result<Value> {
        Ok(described(event, self.data(event).await?))
    }

    /// Prints one event.
    pub async fn print(&self, event: &RecordedEvent) -> anyhow::Result<()> {
        if self.form.json {
            return output::line(self.json(event).await?);
        }
        let (metadata, data) = (&event.metadata, self.data(event).await?);
        output::line(format_args!(
            "{:>8}  {}  {:<34} {}@{}  by {}",
            event.position,
            event.recorded_at.format("%Y-%m-%d %H:%M:%S%.3f"),
            event.event_type,
            event.stream,
            event.revision,
            metadata.actor,
        ))?;
        output::line(format_args!("          {data}"))
    }
}

/// An event, nothing personal in it.
pub fn without_personal_data(event: &RecordedEvent) -> anyhow::Result<Value> {
    Ok(described(event, hidden_data(event)?))
}

fn hidden_data(event: &RecordedEvent) -> anyhow::Result<Value> {
    if event.foreign.is_some() {
        return Ok(text_or_base64(&event.data));
    }
    Ok(hidden(serde_json::from_slice(&event.data).context("an event's data is damaged")?))
}

/// What came from outside: JSON as it is, other bytes in base64.
fn text_or_base64(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| json!({ "$base64": BASE64_STANDARD.encode(bytes) }))
}

fn described(event: &RecordedEvent, data: Value) -> Value {
    let mut described = json!({
        "position": event.position,
        "stream": event.stream.as_str(),
        "revision": event.revision,
        "id": event.id,
        "type": event.event_type,
        "recorded_at": event.recorded_at,
        "metadata": event.metadata,
        "data": data,
    });
    if let Some(foreign) = &event.foreign {
        described["foreign_metadata"] = text_or_base64(&foreign.metadata);
    }
    described
}

/// The data with `"…"` in the place of everything personal.
fn hidden(data: Value) -> Value {
    match data {
        Value::Object(object) if object.contains_key(event_contract::SEALED_MEMBER) => {
            Value::from("…")
        }
        Value::Object(object) => {
            object.into_iter().map(|(name, value)| (name, hidden(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(hidden).collect(),
        other => other,
    }
}

async fn open(
    configuration: &Configuration,
    form: Form,
) -> anyhow::Result<(Arc<dyn EventStore>, stores::Opened, Printer)> {
    compose::expect_store(configuration).await?;
    let opened = compose::open_store(configuration).await?;
    let printer = Printer::new(Codec::new(Arc::clone(&opened.vault)), form);
    Ok((Arc::clone(&opened.store), opened, printer))
}

/// Prints the last events and, if wanted, those to come.
pub async fn tail(
    configuration: &Configuration,
    lines: u64,
    follow: bool,
    form: Form,
) -> anyhow::Result<()> {
    let (store, opened, printer) = open(configuration, form).await?;
    let from = store.head().await?.saturating_sub(lines);
    let mut reader = LogReader::new(store, from, EventFilter::all());
    let printing = async {
        loop {
            match reader.next().await? {
                Delivery::Event(event) => printer.print(&event).await?,
                Delivery::CaughtUp(_) if !follow => return anyhow::Ok(()),
                Delivery::CaughtUp(_) => {}
            }
        }
    };
    tokio::select! {
        printed = printing => printed?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    drop(reader);
    opened.close().await;
    Ok(())
}

/// Prints the events of one stream.
pub async fn show(configuration: &Configuration, stream: &str, form: Form) -> anyhow::Result<()> {
    let stream = StreamName::new(stream)?;
    let (store, opened, printer) = open(configuration, form).await?;
    let mut from = 0;
    loop {
        let page = store.read_stream(&stream, from, PAGE).await?;
        for event in &page {
            from = event.revision + 1;
            printer.print(event).await?;
        }
        if page.len() < PAGE {
            break;
        }
    }
    drop(store);
    opened.close().await;
    anyhow::ensure!(from > 0, "there is no stream {stream}");
    Ok(())
}

/// Prints everything that one request caused.
pub async fn correlation(
    configuration: &Configuration,
    id: Uuid,
    form: Form,
) -> anyhow::Result<()> {
    let (store, opened, printer) = open(configuration, form).await?;
    let mut after = 0;
    loop {
        let page = store.read_correlation(id, after, PAGE).await?;
        for event in &page {
            after = event.position;
            printer.print(event).await?;
        }
        if page.len() < PAGE {
            break;
        }
    }
    drop(store);
    opened.close().await;
    anyhow::ensure!(after > 0, "no event has the correlation id {id}");
    Ok(())
}
