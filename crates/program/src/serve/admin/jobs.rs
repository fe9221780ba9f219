//! Work that outlives the request that began it: one piece per subscription at a time.

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

/// How many jobs are remembered.
const REMEMBERED: usize = 100;
/// How long jobs have to remove what they made when the process stops.
const WIND_DOWN: Duration = Duration::from_secs(10);

/// A job as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What is done.
    pub work: Work,
    /// With which subscription.
    pub subscription: String,
    /// Whether it goes on.
    pub state: JobState,
    /// How far it is.
    pub position: Position,
    /// How far it has to go, as far as is known.
    pub target: Position,
    /// Events per second so far.
    pub rate: f64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What came of it, when it is done.
    pub result: Option<Outcome>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Whether a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It goes on.
    Running,
    /// It has its result.
    Done,
    /// It has none.
    Failed,
    /// The process stopped.
    Cancelled,
}

/// The jobs of this process.
pub struct Jobs {
    catalogue: Arc<Catalogue>,
    remembered: Arc<Mutex<VecDeque<Job>>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    /// Where the work is done: not on the one thread that answers.
    runtime: Handle,
}

impl Jobs {
    /// No jobs yet. They will run on the runtime that calls this.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            remembered: Arc::default(),
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        }
    }

    /// Begins a job. Fails with the one that works on the same subscription already.
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

    /// The job of an id, if it is remembered.
    pub fn find(&self, id: Uuid) -> Option<Job> {
        lock(&self.remembered).iter().find(|job| job.id == id).cloned()
    }

    /// All that are remembered, newest first.
    pub fn all(&self) -> Vec<Job> {
        lock(&self.remembered).iter().rev().cloned().collect()
    }

    /// Cancels what is under way, and waits until it has ended.
    pub async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        if tokio::time::timeout(WIND_DOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs did not end in time; `bascule projections prune` cleans up");
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
    // What a panic left is as good as any: every change is one assignment.
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(jobs: &Mutex<VecDeque<Job>>, id: Uuid, to: impl FnOnce(&mut Job)) {
    if let Some(job) = lock(jobs).iter_mut().find(|job| job.id == id) {
        to(job);
    }
}
