//! Following the events of other processes: their notifications wake this process, and it polls at an
//! interval, because notifications can be lost with their connection.

use std::sync::Arc;
use std::time::Duration;

use kernel::backoff;
use kernel::event::Position;
use kernel::store::ReadError;
use sqlx::postgres::{PgListener, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reading::Readers;
use super::tail::Tail;

const CHANNEL: &str = "event_store";
database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const NOTIFY: &str = "SELECT pg_notify('event_store', $1)";
}

/// Minimum time between notifications: under load one stands for many batches.
const BETWEEN_NOTIFICATIONS: Duration = Duration::from_millis(10);
/// Pauses between attempts to listen again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const PAGE: usize = 1000;
/// Beyond this lag, the missing events would not fit into memory anyway.
const TOO_FAR: Position = 4096;

/// Reads the events of other processes into memory, once for all subscribers of this process.
pub(super) struct Follower {
    pub(super) tail: Arc<Tail>,
    pub(super) readers: Readers,
    pub(super) poll: Duration,
}

impl Follower {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.poll);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reads = true;
        loop {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                () = self.tail.behind.notified() => self.catch_up().await,
                _ = ticks.tick() => self.look().await,
            };
            match followed {
                Ok(()) => reads = true,
                // Logged once; every tick retries.
                Err(error) if reads => {
                    reads = false;
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot read the events of other processes; retrying");
                }
                Err(_) => {}
            }
        }
    }

    async fn look(&self) -> Result<(), ReadError> {
        let head = self.readers.head().await?;
        if head > self.tail.recent.end() { self.catch_up().await } else { Ok(()) }
    }

    async fn catch_up(&self) -> Result<(), ReadError> {
        loop {
            let incarnation = self.tail.incarnation();
            let end = self.tail.recent.end();
            let (events, has_more) = self.readers.after(end, PAGE).await?;
            let streams = self.tail.streams(incarnation);
            for event in &events {
                streams.grown(&event.stream, event.revision);
            }
            self.tail.add(incarnation, end, &events);
            if !has_more {
                return Ok(());
            }
            let head = self.readers.head().await?;
            if head > self.tail.recent.end() + TOO_FAR {
                self.tail.skip_to(incarnation, head);
            }
        }
    }
}

/// Notifies other processes after each write of this one.
pub(super) async fn notify(tail: Arc<Tail>, pool: PgPool, own: Uuid, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tail.wrote.notified() => {}
        }
        let notified = sqlx::query(NOTIFY).bind(own.to_string()).execute(&pool).await;
        if let Err(error) = notified {
            tracing::debug!(%error, "cannot notify other processes; they find the events by polling");
        }
        tokio::time::sleep(BETWEEN_NOTIFICATIONS).await;
    }
}

/// Wakes the follower on notifications of other processes. The pool is for this connection alone;
/// closing it ends the task.
pub(super) async fn listen(tail: Arc<Tail>, pool: PgPool, own: Uuid) {
    let own = own.to_string();
    let mut pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
    while !pool.is_closed() {
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
            // Events may have been written before this connection listened.
            tail.behind.notify_one();
            loop {
                match listener.try_recv().await? {
                    Some(notification) if notification.payload() == own => {}
                    // Another process's; or the connection was lost, and notifications with it.
                    _ => tail.behind.notify_one(),
                }
            }
        };
        let ended: Result<std::convert::Infallible, sqlx::Error> = listening.await;
        let Err(error) = ended;
        if !pool.is_closed() {
            tracing::debug!(%error, "cannot listen for notifications; polling until the next attempt");
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }
}
