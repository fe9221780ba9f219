//! Jobs: work that continues after the request that started it. One job per subscription at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kernel::event::Position;
use kernel::seams::{Clock as _, SystemClock, new_id};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::system::subscriptions::work::{Outcome, Work};
use crate::system::subscriptions::{Catalogue, Target};

/// Maximum number of jobs kept in memory.
const REMEMBERED: usize = 100;
/// Maximum time for jobs to remove their scratch tables at shutdown.
const WIND_DOWN: Duration = Duration::from_secs(10);

/// A job as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Id of the job.
    pub id: Uuid,
    /// Kind of work.
    pub work: Work,
    /// Subscription that the job works on.
    pub subscription: String,
    /// State of the job.
    pub state: JobState,
    /// Current position in the log.
    pub position: Position,
    /// Position to reach, as far as known.
    pub target: Position,
    /// Events per second so far.
    pub rate: f64,
    /// Time of the start.
    pub started_at: DateTime<Utc>,
    /// Time of the end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Result of a job that is done.
    pub result: Option<Outcome>,
    /// Error of a job that failed.
    pub error: Option<String>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The job is running.
    Running,
    /// The job ended with a result.
    Done,
    /// The job ended with an error.
    Failed,
    /// The job was cancelled because the process stopped.
    Cancelled,
}

/// The jobs of this process.
pub struct Jobs {
    catalogue: Arc<Catalogue>,
    remembered: Arc<Mutex<VecDeque<Job>>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    /// Runtime of the work, which must not block the single thread that answers requests.
    runtime: Handle,
}

impl Jobs {
    /// Returns an empty list of jobs. They will run on the runtime of the caller.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            remembered: Arc::default(),
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        }
    }

    /// Starts a job. Fails with the running job if one works on the same subscription already.
    pub fn start(&self, work: Work, target: Target) -> Result<Job, Box<Job>> {
        let subscription = target.subscription();
        let mut remembered = lock(&self.remembered);
        let is_busy =
            |job: &&Job| job.state == JobState::Running && job.subscription == subscription;
        if let Some(running) = remembered.iter().find(is_busy) {
            return Err(Box::new(running.clone()));
        }
        let job = Job {
            id: new_id(),
            work,
            subscription,
            state: JobState::Running,
            position: 0,
            target: 0,
            rate: 0.0,
            started_at: SystemClock.now(),
            ended_at: None,
            result: None,
            error: None,
        };
        let oldest = remembered.iter().position(|job| job.state != JobState::Running);
        if let Some(oldest) = oldest.filter(|_| remembered.len() >= REMEMBERED) {
            remembered.remove(oldest);
        }
        remembered.push_back(job.clone());
        drop(remembered);
        let running = Self::run(
            Arc::clone(&self.catalogue),
            Arc::clone(&self.remembered),
            (job.id, work, target),
            self.cancel.clone(),
        );
        self.tasks.spawn_on(running, &self.runtime);
        Ok(job)
    }

    /// Returns the job with this id, if it is still in memory.
    pub fn find(&self, id: Uuid) -> Option<Job> {
        lock(&self.remembered).iter().find(|job| job.id == id).cloned()
    }

    /// Returns all jobs in memory, newest first.
    pub fn all(&self) -> Vec<Job> {
        lock(&self.remembered).iter().rev().cloned().collect()
    }

    /// Cancels running jobs and waits until they have ended.
    pub async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        if tokio::time::timeout(WIND_DOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                "some jobs did not end in time; run `bascule projections prune` to remove their scratch tables"
            );
        }
    }

    async fn run(
        catalogue: Arc<Catalogue>,
        remembered: Arc<Mutex<VecDeque<Job>>>,
        (id, work, target): (Uuid, Work, Target),
        cancel: CancellationToken,
    ) {
        let mut begun: Option<(Instant, Position)> = None;
        let mut report = |position: Position, target: Position| {
            let (at, first) = *begun.get_or_insert_with(|| (Instant::now(), position));
            let seconds = at.elapsed().as_secs_f64();
            change(&remembered, id, |job| {
                (job.position, job.target) = (position, target);
                if seconds > 0.0 {
                    job.rate = position.saturating_sub(first) as f64 / seconds;
                }
            });
        };
        let outcome = catalogue.carry_out(work, &target, &mut report, &cancel).await;
        let subscription = target.subscription();
        let (state, result, error) = match outcome {
            Ok(outcome) => {
                tracing::info!(subscription, work = work.as_str(), "done");
                (JobState::Done, Some(outcome), None)
            }
            Err(error) if error.is_cancelled() => (JobState::Cancelled, None, None),
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(subscription, work = work.as_str(), error = text, "failed");
                (JobState::Failed, None, Some(text))
            }
        };
        change(&remembered, id, |job| {
            (job.state, job.result, job.error) = (state, result, error);
            job.ended_at = Some(SystemClock.now());
        });
    }
}

fn lock(jobs: &Mutex<VecDeque<Job>>) -> MutexGuard<'_, VecDeque<Job>> {
    // A panic leaves valid data: every change is one assignment.
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(jobs: &Mutex<VecDeque<Job>>, id: Uuid, to: impl FnOnce(&mut Job)) {
    if let Some(job) = lock(jobs).iter_mut().find(|job| job.id == id) {
        to(job);
    }
}
