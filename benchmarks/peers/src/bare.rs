//! Bare PostgreSQL: one table, `unique (stream, rev)` as the check of the expected version. What the
//! database itself gives, without any promise of an event store.
//!
//! `pg-plain` writes a request with one INSERT on a connection of its own: fastest for few clients,
//! but positions become visible out of order. `pg-single-writer` has one connection write all
//! queued requests, 256 at most, in one transaction: ordered, group commit.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use crate::measuring::{Meter, PAGE};
use crate::payload::event;
use crate::{Peer, Run, variable};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (\
     pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL, rev int NOT NULL, \
     type text NOT NULL, data jsonb NOT NULL, meta jsonb NOT NULL, id uuid NOT NULL, \
     at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, rev))";
const FILL: &str = "INSERT INTO events (stream, rev, type, data, meta, id) \
     SELECT 's-' || i / 10, i % 10, 'OrderPlaced', $1::text::jsonb, '{}', gen_random_uuid() \
     FROM generate_series(0, $2::bigint - 1) i";
const APPEND: &str = "INSERT INTO events (stream, rev, type, data, meta, id) \
     SELECT s, r, 'OrderPlaced', d::jsonb, '{}', i \
     FROM unnest($1::text[], $2::int[], $3::text[], $4::uuid[]) t (s, r, d, i)";
const READ: &str = "SELECT pos, stream, rev, type, data::text, meta::text, id FROM events \
     WHERE pos > $1 ORDER BY pos LIMIT $2";

const QUEUE: usize = 4096;
const GROUP: usize = 256;

/// Rows to be written, column by column.
#[derive(Default)]
struct Rows {
    streams: Vec<String>,
    revisions: Vec<i32>,
    data: Vec<String>,
    ids: Vec<Uuid>,
}

impl Rows {
    fn add(&mut self, stream: Uuid, count: usize) {
        for revision in (0..).take(count) {
            self.streams.push(stream.to_string());
            self.revisions.push(revision);
            self.data.push(event());
            self.ids.push(Uuid::new_v4());
        }
    }

    async fn insert(&self, client: &Client, append: &Statement) -> Result<()> {
        client.execute(append, &[&self.streams, &self.revisions, &self.data, &self.ids]).await?;
        Ok(())
    }
}

async fn connect() -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&variable("PG_URL")?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Makes the table and, to be read, fills an empty one; later runs find it filled.
pub async fn prepare(table: &str, fill: &str, run: Run) -> Result<()> {
    let client = connect().await?;
    client.batch_execute(table).await?;
    if !run.reads() {
        return Ok(());
    }
    let row = client.query_one("SELECT NOT EXISTS (SELECT FROM events)", &[]).await?;
    if row.get(0) {
        client.execute(fill, &[&event(), &run.preload.cast_signed()]).await?;
        // One by one: neither may stand in a transaction.
        for statement in ["VACUUM ANALYZE events", "CHECKPOINT"] {
            client.batch_execute(statement).await?;
        }
    }
    Ok(())
}

struct Plain {
    client: Client,
    append: Statement,
    read: Statement,
}

pub async fn plain(run: Run) -> Result<Vec<Arc<dyn Peer>>> {
    prepare(TABLE, FILL, run).await?;
    let mut clients: Vec<Arc<dyn Peer>> = Vec::new();
    for _ in 0..run.clients {
        let client = connect().await?;
        let (append, read) = (client.prepare(APPEND).await?, client.prepare(READ).await?);
        clients.push(Arc::new(Plain { client, append, read }));
    }
    Ok(clients)
}

#[async_trait]
impl Peer for Plain {
    async fn append(&self, count: usize) -> Result<()> {
        let mut rows = Rows::default();
        rows.add(Uuid::new_v4(), count);
        rows.insert(&self.client, &self.append).await
    }

    async fn read_all(&self, meter: &mut Meter) -> Result<bool> {
        let page = PAGE.cast_signed();
        let mut position = 0_i64;
        loop {
            let rows = self.client.query(&self.read, &[&position, &page]).await?;
            for row in &rows {
                // Decoded as a reader would.
                let (stream, data): (String, String) = (row.get(1), row.get(4));
                std::hint::black_box((stream, data));
                position = row.get(0);
            }
            if meter.read(rows.len()) {
                return Ok(false);
            }
            if rows.len() < PAGE as usize {
                return Ok(true);
            }
        }
    }
}

/// A request that waits for its turn.
struct Job {
    stream: Uuid,
    events: usize,
    written: oneshot::Sender<()>,
}

struct SingleWriter(mpsc::Sender<Job>);

pub async fn single_writer(run: Run) -> Result<Vec<Arc<dyn Peer>>> {
    if run.reads() {
        return plain(run).await;
    }
    prepare(TABLE, FILL, run).await?;
    let (jobs, queue) = mpsc::channel(QUEUE);
    let client = connect().await?;
    client.execute("SELECT pg_advisory_lock(42)", &[]).await.context("there is another writer")?;
    let append = client.prepare(APPEND).await?;
    tokio::spawn(async move {
        // A failure shows at the clients: their requests are not answered.
        if let Err(error) = write_groups(queue, client, append).await {
            eprintln!("{error:#}");
        }
    });
    let client = || Arc::new(SingleWriter(jobs.clone())) as _;
    Ok(std::iter::repeat_with(client).take(run.clients).collect())
}

/// A conflict would make the group be redone request by request; fresh streams never cause one.
async fn write_groups(
    mut queue: mpsc::Receiver<Job>,
    client: Client,
    append: Statement,
) -> Result<()> {
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        let mut rows = Rows::default();
        for job in &group {
            rows.add(job.stream, job.events);
        }
        rows.insert(&client, &append).await?;
        for job in group.drain(..) {
            // Whoever does not wait any more has ended.
            // Whoever waited may have gone.
            let _ = job.written.send(());
        }
    }
    Ok(())
}

#[async_trait]
impl Peer for SingleWriter {
    async fn append(&self, events: usize) -> Result<()> {
        let (written, answer) = oneshot::channel();
        self.0.send(Job { stream: Uuid::new_v4(), events, written }).await?;
        Ok(answer.await?)
    }

    async fn read_all(&self, _: &mut Meter) -> Result<bool> {
        bail!("pg-single-writer reads as pg-plain does")
    }
}
