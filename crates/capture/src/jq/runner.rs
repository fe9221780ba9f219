//! Threads that run programs, with a stack of their own: a recursion that is too deep is stopped before
//! it overflows the stack and aborts the process.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use jaq_json::Val;
use tokio::sync::oneshot;

use super::{Answer, NamedRow, Program};

/// Reserved address space; only the used part takes memory.
const STACK: usize = 256 << 20;

/// One run of a program.
pub(crate) struct Job {
    /// The program.
    pub(crate) program: Arc<Program>,
    /// The document.
    pub(crate) input: Val,
}

type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads that run programs.
pub(crate) struct Runner {
    tasks: mpsc::Sender<Task>,
    patience: Duration,
    begins: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Runner(…)")
    }
}

/// A run that did not return: a built-in filter cannot be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stuck;

impl Runner {
    /// Starts the threads. `patience` is how long to wait for a run that its own limits did not stop.
    pub(crate) fn start(patience: Duration) -> std::io::Result<Self> {
        Self::observed(patience, || ())
    }

    /// Like [`Self::start`]; `begins` is called on a program's thread right before it runs.
    pub(crate) fn observed(
        patience: Duration,
        begins: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let (tasks, queue) = mpsc::channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("mapping-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&queue))?;
        }
        Ok(Self { tasks, patience, begins: Arc::new(begins) })
    }

    /// Runs jobs in parallel; returns the results in the order of the jobs.
    pub(crate) async fn run(&self, jobs: Vec<Job>) -> Result<Vec<Answer>, Stuck> {
        self.each(jobs, |Job { program, input }| program.run(input, STACK)).await
    }

    /// The same; also returns the rows whose ids each program derived.
    pub(crate) async fn run_noting(
        &self,
        jobs: Vec<Job>,
    ) -> Result<Vec<(Answer, Vec<NamedRow>)>, Stuck> {
        self.each(jobs, |Job { program, input }| program.run_noting(input, STACK)).await
    }

    async fn each<A: Send + 'static>(
        &self,
        jobs: Vec<Job>,
        run: fn(Job) -> A,
    ) -> Result<Vec<A>, Stuck> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (sender, receiver) = oneshot::channel();
            let begins = self.begins.clone();
            let task: Task = Box::new(move || {
                // If the import was cancelled, no caller waits for the result.
                if !sender.is_closed() {
                    begins();
                    let _ = sender.send(run(job));
                }
            });
            self.tasks.send(task).map_err(|_| Stuck)?;
            answers.push(receiver);
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = tokio::time::timeout(self.patience, answer).await.map_err(|_| Stuck)?;
            results.push(answer.map_err(|_| Stuck)?);
        }
        Ok(results)
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Task>>) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        task();
    }
}
