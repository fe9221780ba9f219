//! bascule over the network: its server of EventStoreDB's protocol, through the official Rust client.

use std::sync::Arc;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, EventData, ExpectedRevision, ReadAllOptions,
    StreamPosition,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::measuring::Meter;
use crate::payload::event;
use crate::{Peer, Run, variable};

/// Connections that fill the log.
const FILLING: u64 = 16;

struct Wire(Client);

pub async fn clients(run: Run) -> Result<Vec<Arc<dyn Peer>>> {
    if run.reads() && is_empty(&connect()?).await? {
        let mut filling = JoinSet::new();
        for _ in 0..FILLING {
            let wire = Wire(connect()?);
            filling.spawn(async move {
                for _ in 0..run.preload / 10 / FILLING {
                    wire.append(10).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(filled) = filling.join_next().await {
            filled??;
        }
    }
    let mut clients: Vec<Arc<dyn Peer>> = Vec::new();
    for _ in 0..run.clients {
        clients.push(Arc::new(Wire(connect()?)));
    }
    Ok(clients)
}

fn connect() -> Result<Client> {
    let settings: ClientSettings = variable("WIRE_URL")?.parse()?;
    Ok(Client::new(settings)?)
}

async fn is_empty(client: &Client) -> Result<bool> {
    let options = ReadAllOptions::default().position(StreamPosition::Start).max_count(1);
    Ok(client.read_all(&options).await?.next().await?.is_none())
}

fn events(count: usize) -> Vec<EventData> {
    let event = || EventData::binary("OrderPlaced", event().into()).id(Uuid::new_v4());
    std::iter::repeat_with(event).take(count).collect()
}

#[async_trait]
impl Peer for Wire {
    async fn append(&self, count: usize) -> Result<()> {
        let options =
            AppendToStreamOptions::default().expected_revision(ExpectedRevision::NoStream);
        let stream = format!("bench-{}", Uuid::new_v4());
        self.0.append_to_stream(stream, &options, events(count)).await?;
        Ok(())
    }

    async fn read_all(&self, meter: &mut Meter) -> Result<bool> {
        let options = ReadAllOptions::default().position(StreamPosition::Start);
        let mut reading = self.0.read_all(&options).await?;
        while let Some(event) = reading.next().await? {
            let event = event.get_original_event();
            ensure!(event.data.len() == 300, "an event came without all of its data");
            if meter.read(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
