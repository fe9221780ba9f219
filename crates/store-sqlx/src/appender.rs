//! Group commit: one task takes concurrent appends from a bounded queue and hands them to the
//! engine in groups.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use kernel::store::{AppendError, AppendRequest, Appended};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One caller's `append_many`.
pub(crate) struct Job {
    pub(crate) requests: Vec<AppendRequest>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

/// What writes a group in one transaction and answers every job of it.
#[async_trait]
pub(crate) trait GroupWriter: Send + 'static {
    /// Writes a group. Every job is answered, whatever happens.
    async fn write(&mut self, group: Vec<Job>);

    /// Nothing more will come.
    async fn close(self);
}

const MAX_JOBS: usize = 256;
const MAX_EVENTS: usize = 2048;

/// The callers' end of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    deadline: Duration,
}

impl Queue {
    /// A queue of `capacity` jobs and the task that empties it.
    pub(crate) fn start(
        writer: impl GroupWriter,
        capacity: usize,
        deadline: Duration,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (jobs, receiver) = mpsc::channel(capacity);
        (Self { jobs, deadline }, tokio::spawn(write_groups(writer, receiver, stop)))
    }

    /// Queues an append and waits for its result.
    pub(crate) async fn append(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        let (reply, result) = oneshot::channel();
        let place = match tokio::time::timeout(self.deadline, self.jobs.reserve()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => {
                metrics::counter!("event_store_overloaded_total").increment(1);
                return Err(AppendError::Overloaded);
            }
        };
        place.send(Job { requests, reply });
        result
            .await
            .unwrap_or_else(|_| Err(AppendError::OutcomeUnknown("the appender ended".into())))
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable("the event store is closed".into())
}

/// Ends when it is stopped, having written what was queued by then, or when nobody can append.
async fn write_groups(
    mut writer: impl GroupWriter,
    mut jobs: mpsc::Receiver<Job>,
    stop: CancellationToken,
) {
    loop {
        let first = tokio::select! {
            biased;
            first = jobs.recv() => first,
            () = stop.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let mut events = event_count(&first);
        let mut group = vec![first];
        while group.len() < MAX_JOBS && events < MAX_EVENTS {
            let Ok(job) = jobs.try_recv() else { break };
            events += event_count(&job);
            group.push(job);
        }
        metrics::histogram!("event_store_batch_appends").record(group.len() as f64);
        metrics::histogram!("event_store_batch_events").record(events as f64);
        let started = Instant::now();
        writer.write(group).await;
        metrics::histogram!("event_store_batch_seconds").record(started.elapsed().as_secs_f64());
    }
    writer.close().await;
}

fn event_count(job: &Job) -> usize {
    job.requests.iter().map(|request| request.events.len()).sum()
}
