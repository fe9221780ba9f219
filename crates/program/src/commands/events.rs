//! `bascule events`: looking at the log.

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

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print the last events and, with --follow, those to come
    Tail {
        /// How many of the last events
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: u64,
        /// Go on with the events to come, until interrupted
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Print the events of one stream, such as order-UUID
    Show {
        /// The stream's name
        stream: String,
        #[command(flatten)]
        form: Form,
    },
    /// Print every event, of whatever module, that one request caused
    Correlation {
        /// The correlation id
        id: Uuid,
        #[command(flatten)]
        form: Form,
    },
}

/// Carries out the command.
pub async fn run(configuration: &Configuration, command: EventsCommand) -> anyhow::Result<()> {
    match command {
        EventsCommand::Tail { lines, follow, form } => {
            tail(configuration, lines, follow, form).await
        }
        EventsCommand::Show { stream, form } => show(configuration, &stream, form).await,
        EventsCommand::Correlation { id, form } => correlation(configuration, id, form).await,
    }
}

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

async fn open(
    configuration: &Configuration,
    form: Form,
) -> anyhow::Result<(Arc<dyn EventStore>, stores::Opened, Printer)> {
    opening::expect_store(configuration).await?;
    let opened = opening::open_store(configuration).await?;
    let printer = Printer::new(Codec::new(Arc::clone(&opened.vault)), form);
    Ok((Arc::clone(&opened.store), opened, printer))
}

/// Prints the last events and, if wanted, those to come.
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
    anyhow::ensure!(from > 0, "there is no stream {stream}");
    Ok(())
}

/// Prints everything that one request caused.
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
