//! postgres-es through its repository: BEGIN, one INSERT an event, COMMIT; the primary key checks
//! the expected version.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::measuring::Meter;
use crate::payload::event;
use crate::{Peer, Run, bare, variable};

/// As its documentation has it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (aggregate_type text NOT NULL, \
     aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL, \
     event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, \
     metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))";
const FILL: &str = "INSERT INTO events SELECT 'order', 's-' || i / 10, i % 10 + 1, 'OrderPlaced', \
     '1', $1::text::json, '{}' FROM generate_series(0, $2::bigint - 1) i";

#[derive(Default, Serialize, Deserialize)]
struct Order;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Placed(serde_json::Value);

impl DomainEvent for Placed {
    fn event_type(&self) -> String {
        "OrderPlaced".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = ();
    type Event = Placed;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(
        &mut self,
        _: (),
        _: &(),
        _: &EventSink<Self>,
    ) -> std::result::Result<(), Self::Error> {
        Ok(())
    }

    fn apply(&mut self, _: Placed) {}
}

struct PostgresEs(PostgresEventRepository);

pub async fn clients(run: Run) -> Result<Vec<Arc<dyn Peer>>> {
    bare::prepare(TABLE, FILL, run).await?;
    let connections = u32::try_from(run.clients)?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .connect(&variable("PG_URL")?)
        .await?;
    let client = || Arc::new(PostgresEs(PostgresEventRepository::new(pool.clone()))) as _;
    Ok(std::iter::repeat_with(client).take(run.clients).collect())
}

#[async_trait]
impl Peer for PostgresEs {
    async fn append(&self, count: usize) -> Result<()> {
        let id = Uuid::new_v4().to_string();
        let mut events = Vec::with_capacity(count);
        for sequence in 1..=count {
            events.push(SerializedEvent::new(
                id.clone(),
                sequence,
                "order".to_owned(),
                "OrderPlaced".to_owned(),
                "1".to_owned(),
                serde_json::from_str(&event())?,
                serde_json::json!({}),
            ));
        }
        self.0.persist::<Order>(&events, None).await?;
        Ok(())
    }

    async fn read_all(&self, meter: &mut Meter) -> Result<bool> {
        let mut stream = self.0.stream_all_events::<Order>().await?;
        while let Some(event) = stream.next::<Order>(&[]).await {
            event?;
            if meter.read(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
