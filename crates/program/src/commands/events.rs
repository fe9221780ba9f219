//! `bascule events`: prints events of the log.

use std::sync::Arc;

use clap::{Args, Subcommand};
use kernel::codec::Codec;
use kernel::event::{EventFilter, RecordedEvent, StreamName};
use kernel::store::EventStore;
use kernel::subscription::{Delivery, LogReader};
use serde_json::Value;
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::system::shown_event::{described, hidden_data};
use crate::system::{opening, stores};
use crate::values::output;

/// Subcommands of `bascule events`.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print the last events and, with --follow, new ones as they are recorded
    Tail {
        /// Number of past events to print
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: u64,
        /// Keep printing new events until interrupted
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Print the events of one stream, such as order-UUID
    Show {
        /// Stream name
        stream: String,
        #[command(flatten)]
        form: Form,
    },
    /// Print every event that one request caused, across all modules
    Correlation {
        /// Correlation id
        id: Uuid,
        #[command(flatten)]
        form: Form,
    },
}

/// Runs the command.
pub async fn run(configuration: &Configuration, command: EventsCommand) -> anyhow::Result<()> {
    match command {
        EventsCommand::Tail { lines, follow, form } => {
            tail(configuration, lines, follow, form).await
        }
        EventsCommand::Show { stream, form } => show(configuration, &stream, form).await,
        EventsCommand::Correlation { id, form } => correlation(configuration, id, form).await,
    }
}

/// Options for the output format of events.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Decrypt and show personal data, which is hidden by default
    #[arg(long)]
    personal: bool,
}

const PAGE: usize = 500;

/// Prints events in the requested format.
pub struct Printer {
    codec: Codec,
    form: Form,
}

impl Form {
    /// Returns whether the output is one JSON object per line.
    pub fn is_json(self) -> bool {
        self.json
    }
}

impl Printer {
    /// Returns a printer that decrypts personal data with `codec`.
    pub fn new(codec: Codec, form: Form) -> Self {
        Self { codec, form }
    }

    async fn data(&self, event: &RecordedEvent) -> anyhow::Result<Value> {
        if self.form.personal && event.foreign.is_none() {
            return Ok(self.codec.readable_data(event).await?);
        }
        hidden_data(event)
    }

    /// Returns an event as JSON.
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

async fn open(
    configuration: &Configuration,
    form: Form,
) -> anyhow::Result<(Arc<dyn EventStore>, stores::Opened, Printer)> {
    opening::expect_store(configuration).await?;
    let opened = opening::open_store(configuration).await?;
    let printer = Printer::new(Codec::new(Arc::clone(&opened.vault)), form);
    Ok((Arc::clone(&opened.store), opened, printer))
}

/// Prints the last events and, with `follow`, new ones as they are recorded.
async fn tail(
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
async fn show(configuration: &Configuration, stream: &str, form: Form) -> anyhow::Result<()> {
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
    anyhow::ensure!(from > 0, "stream {stream} does not exist");
    Ok(())
}

/// Prints the events of one correlation id.
async fn correlation(configuration: &Configuration, id: Uuid, form: Form) -> anyhow::Result<()> {
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
