//! The head of the log: a subscription reports it at once, and polling covers what the subscription
//! misses while it connects. Every poll also queries the last remembered event, to find out when the
//! log was reset to an earlier state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventstore::{RetryOptions, StreamPosition, SubscribeToAllOptions};
use kernel::backoff;
use kernel::event::Position;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::connection::{Connection, Log};
use crate::events::bytes;
use crate::service::append_many_request::Remembered;

/// How often the head of the log is polled.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// An event that was in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    position: Position,
    event_id: Uuid,
}

#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    incarnation: u64,
    /// The last event of the log at the last poll.
    last: Option<Mark>,
}

/// The head of the log as this process knows it.
pub(crate) struct Head {
    connection: Connection,
    position: watch::Sender<Position>,
    incarnation: watch::Sender<u64>,
    memory: Mutex<Memory>,
}

impl Head {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            position: watch::Sender::new(0),
            incarnation: watch::Sender::new(0),
            memory: Mutex::default(),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    pub(crate) fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.incarnation.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the event on which an append was decided, for the remote side to check that it still
    /// exists.
    pub(crate) fn remembered(&self) -> Option<Remembered> {
        let Mark { position, event_id } = self.lock().last?;
        Some(Remembered { position, event_id: bytes(event_id) })
    }

    /// Polls the head of the log, and compares the remembered event.
    pub(crate) async fn look(&self) -> Result<Log, Status> {
        let asked = *self.lock();
        let log = self.connection.log(asked.last.map(|last| last.position)).await?;
        self.compare(asked, &log);
        Ok(log)
    }

    fn compare(&self, asked: Memory, log: &Log) {
        let head = log.head_id.map(|event_id| Mark { position: log.head, event_id });
        // A release that returns no ids cannot compare them either.
        let tells_ids = log.head == 0 || head.is_some();
        let mut memory = self.lock();
        if memory.incarnation != asked.incarnation {
            return;
        }
        let is_there = asked.last.is_none_or(|last| log.remembered_id == Some(last.event_id));
        if is_there || !tells_ids {
            if head.map(|head| head.position) > memory.last.map(|last| last.position) {
                memory.last = head;
            }
            return self.raise(log.head);
        }
        tracing::error!(
            remembered = asked.last.map(|last| last.position),
            head = log.head,
            "the event store was reset to an earlier state: it lacks the last event that this process remembers. Subscriptions stop; run `bascule projections rebuild --all` to resume them"
        );
        let incarnation = asked.incarnation + 1;
        *memory = Memory { incarnation, last: head };
        self.position.send_replace(log.head);
        self.incarnation.send_replace(incarnation);
    }

    fn raise(&self, found: Position) {
        self.position.send_if_modified(|known| {
            let later = found > *known;
            if later {
                *known = found;
            }
            later
        });
    }

    /// Follows the log until told to stop.
    pub(crate) fn follow(self: &Arc<Self>, stop: CancellationToken) {
        let head = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = head.look_again_and_again() => {}
                () = head.listen() => {}
            }
        });
    }

    async fn look_again_and_again(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "cannot poll the head of the log; retrying");
            }
        }
    }

    async fn listen(&self) {
        let mut pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
        let options = SubscribeToAllOptions::default()
            .position(StreamPosition::End)
            .retry_options(RetryOptions::default());
        loop {
            let mut events = self.connection.events.subscribe_to_all(&options).await;
            let error = loop {
                match events.next().await {
                    Ok(event) => {
                        self.raise(event.get_original_event().position.commit);
                        pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
                    }
                    Err(error) => break error,
                }
            };
            tracing::debug!(%error, "the subscription to the log ended; reconnecting");
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }
}
