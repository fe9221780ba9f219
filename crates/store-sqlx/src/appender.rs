//! Group commit: one task takes concurrent appends from a bounded queue and passes them to the engine
//! in groups.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kernel::outage::Outage;
use kernel::store::{AppendError, AppendRequest, Appended, BoxError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The result of an `append_many`.
pub(crate) type Answer = Result<Vec<Appended>, AppendError>;

/// One `append_many` of a caller.
pub(crate) struct Job {
    pub(crate) requests: Vec<AppendRequest>,
    /// The incarnation of the log for which it was decided.
    pub(crate) incarnation: u64,
    reply: oneshot::Sender<Answer>,
    health: Arc<Health>,
}

impl Job {
    /// Sends the caller the result.
    pub(crate) fn answer(self, answer: Answer) {
        let outcome = match &answer {
            Ok(_) => "appended",
            Err(AppendError::WrongExpectedRevision { .. }) => "conflict",
            Err(_) => "failed",
        };
        metrics::counter!("event_store_appends_total", "outcome" => outcome).increment(1);
        match &answer {
            // A repeated append does not show that the store can be written to.
            Ok(appended) if appended.iter().any(|appended| !appended.repeated) => {
                self.health.writes();
            }
            Err(error @ (AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_))) => {
                self.health.fails(error);
            }
            _ => {}
        }
        // A cancelled caller does not wait for the result.
        drop(self.reply.send(answer));
    }
}

/// One error that several callers receive.
#[derive(Debug, Clone)]
pub(crate) struct SharedError(Arc<dyn std::error::Error + Send + Sync>);

impl SharedError {
    pub(crate) fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into().into())
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

static UNWRITABLE: Outage =
    Outage::severe("event_store_unwritable", "cannot write to the event store");
/// The affected component: a process has one event store.
const STORE: &str = "event store";

/// Whether the last write failed; reset by the next successful write.
#[derive(Debug, Default)]
struct Health {
    failing: AtomicBool,
}

impl Health {
    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn writes(&self) {
        if self.is_failing() && self.failing.swap(false, Ordering::Relaxed) {
            UNWRITABLE.ends(STORE);
        }
    }

    fn fails(&self, error: &AppendError) {
        self.failing.store(true, Ordering::Relaxed);
        UNWRITABLE.occurs(STORE, error);
    }
}

/// An engine that writes a group in one transaction and answers every job of it.
pub(crate) trait GroupWriter: Send + 'static {
    /// Writes a group. Every job is answered, whatever the result.
    fn write(&mut self, group: Vec<Job>) -> impl Future<Output = ()> + Send;

    /// Tests by a write that changes nothing whether the store can be written to again after a failure.
    fn probe(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Called when no more groups follow.
    fn close(self) -> impl Future<Output = ()> + Send;
}

const MAX_JOBS: usize = 256;
const MAX_EVENTS: usize = 2048;

enum Task {
    Append(Job),
    Probe(oneshot::Sender<Result<(), AppendError>>),
}

/// The sending side of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    tasks: mpsc::Sender<Task>,
    deadline: Duration,
    health: Arc<Health>,
}

impl Queue {
    /// Starts a queue of `capacity` jobs and the task that processes it.
    pub(crate) fn start(
        writer: impl GroupWriter,
        capacity: usize,
        deadline: Duration,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (tasks, receiver) = mpsc::channel(capacity);
        let health = Arc::new(Health::default());
        let appender =
            Appender { writer, tasks: receiver, health: Arc::clone(&health), probes: Vec::new() };
        (Self { tasks, deadline, health }, tokio::spawn(appender.run(stop)))
    }

    /// Queues an append and waits for its result.
    pub(crate) async fn append(&self, requests: Vec<AppendRequest>, incarnation: u64) -> Answer {
        let (reply, result) = oneshot::channel();
        let job = Job { requests, incarnation, reply, health: Arc::clone(&self.health) };
        self.send(Task::Append(job)).await?;
        result.await.unwrap_or_else(|_| {
            Err(AppendError::OutcomeUnknown("the appender task ended unexpectedly".into()))
        })
    }

    /// Returns an error if the last append could not be written and a probe still fails.
    pub(crate) async fn check(&self) -> Result<(), AppendError> {
        if !self.health.is_failing() {
            return Ok(());
        }
        let (reply, result) = oneshot::channel();
        self.send(Task::Probe(reply)).await?;
        result.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn send(&self, task: Task) -> Result<(), AppendError> {
        match tokio::time::timeout(self.deadline, self.tasks.reserve()).await {
            Ok(Ok(place)) => {
                place.send(task);
                Ok(())
            }
            Ok(Err(_)) => Err(closed()),
            Err(_) => {
                metrics::counter!("event_store_overloaded_total").increment(1);
                Err(AppendError::Overloaded)
            }
        }
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable("the event store is closed".into())
}

struct Appender<W> {
    writer: W,
    tasks: mpsc::Receiver<Task>,
    health: Arc<Health>,
    probes: Vec<oneshot::Sender<Result<(), AppendError>>>,
}

impl<W: GroupWriter> Appender<W> {
    /// Runs until it is stopped, after writing what was queued by then, or until all senders are
    /// dropped.
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let task = tokio::select! {
                biased;
                task = self.tasks.recv() => task,
                () = stop.cancelled(), if !self.tasks.is_closed() => {
                    self.tasks.close();
                    continue;
                }
            };
            let Some(task) = task else { break };
            let group = self.gather(task);
            if !group.is_empty() {
                let started = Instant::now();
                self.writer.write(group).await;
                metrics::histogram!("event_store_batch_seconds")
                    .record(started.elapsed().as_secs_f64());
            }
            self.answer_probes().await;
        }
        self.writer.close().await;
    }

    /// Takes queued jobs, as many as fit into one group.
    fn gather(&mut self, first: Task) -> Vec<Job> {
        let mut group = Vec::new();
        let mut events = 0;
        let mut next = Some(first);
        while let Some(task) = next {
            match task {
                Task::Append(job) => {
                    events +=
                        job.requests.iter().map(|request| request.events.len()).sum::<usize>();
                    group.push(job);
                }
                Task::Probe(reply) => self.probes.push(reply),
            }
            let is_full = group.len() == MAX_JOBS || events >= MAX_EVENTS;
            next = if is_full { None } else { self.tasks.try_recv().ok() };
        }
        if !group.is_empty() {
            metrics::histogram!("event_store_batch_appends").record(group.len() as f64);
            metrics::histogram!("event_store_batch_events").record(events as f64);
        }
        group
    }

    async fn answer_probes(&mut self) {
        if self.probes.is_empty() {
            return;
        }
        let failure = if self.health.is_failing() {
            self.writer.probe().await.err().map(SharedError::new)
        } else {
            None
        };
        if failure.is_none() {
            self.health.writes();
        }
        for probe in self.probes.drain(..) {
            let answer = match &failure {
                None => Ok(()),
                Some(error) => Err(AppendError::Unavailable(Box::new(error.clone()))),
            };
            // The caller may be gone.
            drop(probe.send(answer));
        }
    }
}
