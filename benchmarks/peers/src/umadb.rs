//! UmaDB through its Rust client. A stream is a tag; that it must not exist is the condition that no
//! event carries the tag yet.

use std::sync::Arc;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreAsync as _, DcbQuery, DcbQueryItem};
use uuid::Uuid;

use crate::measuring::Meter;
use crate::payload::event;
use crate::{Peer, Run, variable};

struct UmaDb(AsyncUmaDbClient);

pub async fn clients(run: Run) -> Result<Vec<Arc<dyn Peer>>> {
    let client = connect().await?;
    if run.reads() && client.head().await?.is_none() {
        // Ten streams of ten events a request.
        for number in 0..run.preload / 100 {
            let streams = (0..10).flat_map(|stream| events(&format!("s-{number}-{stream}"), 10));
            client.append(streams.collect(), None, None).await?;
        }
    }
    let mut clients: Vec<Arc<dyn Peer>> = Vec::new();
    for _ in 0..run.clients {
        clients.push(Arc::new(UmaDb(connect().await?)));
    }
    Ok(clients)
}

async fn connect() -> Result<AsyncUmaDbClient> {
    Ok(UmaDbClient::new(variable("UMA_URL")?).connect_async().await?)
}

fn events(tag: &str, count: usize) -> Vec<DcbEvent> {
    let event = || {
        DcbEvent::default()
            .event_type("OrderPlaced")
            .tags([tag])
            .data(event().into_bytes())
            .uuid(Uuid::new_v4())
    };
    std::iter::repeat_with(event).take(count).collect()
}

#[async_trait]
impl Peer for UmaDb {
    async fn append(&self, count: usize) -> Result<()> {
        let tag = Uuid::new_v4().to_string();
        let tagged = DcbQuery::new().item(DcbQueryItem::new().tags([tag.as_str()]));
        let none = DcbAppendCondition::new(tagged);
        self.0.append(events(&tag, count), Some(none), None).await?;
        Ok(())
    }

    async fn read_all(&self, meter: &mut Meter) -> Result<bool> {
        let mut response = self.0.read(None, None, false, None).await?;
        loop {
            let batch = response.next_batch().await?;
            let whole = batch.iter().all(|event| event.event.data.len() == 300);
            ensure!(whole, "an event came without all of its data");
            if batch.is_empty() {
                return Ok(true);
            }
            if meter.read(batch.len()) {
                return Ok(false);
            }
        }
    }
}
