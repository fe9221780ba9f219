//! Numbering by runs: documents that are pending at the same time take their numbers in one unit.
//!
//! All documents of a year share the stream of their series, so that one commit at a time can number
//! them. Were each committed by itself, a commit's duration would bound how many are issued, however
//! many are asked for at once. Here whoever gets the turn numbers everything that is pending, in the
//! order in which it was asked for, and tells the others.
//!
//! The turn only spares this process's tasks the conflicts they would have with each other; what makes
//! numbers unique and without a hole is the series stream's revision. A task that is dropped while it
//! has the turn takes nothing along: the others ask again, and what it appended all the same is
//! recognised by its event ids.

use std::collections::VecDeque;

use kernel::execution::Cause;
use tokio::sync::{Mutex, oneshot};

use crate::handlers::{Billing, Numbered, Outcome};

/// Most documents of a run.
const MOST: usize = 256;

/// The documents that wait for their numbers.
#[derive(Default)]
pub(crate) struct Numbering {
    pending: Mutex<VecDeque<Pending>>,
    turn: Mutex<()>,
}

/// A document that waits for its number.
struct Pending {
    document: Numbered,
    cause: Cause,
    answer: oneshot::Sender<Outcome>,
}

impl Numbering {
    async fn ask(&self, document: &Numbered, cause: &Cause) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { document: document.clone(), cause: cause.clone(), answer };
        self.pending.lock().await.push_back(pending);
        answered
    }

    /// The documents of the next run: those that are still asked for.
    async fn next_run(&self) -> Vec<Pending> {
        let mut pending = self.pending.lock().await;
        let count = pending.len().min(MOST);
        pending.drain(..count).filter(|one| !one.answer.is_closed()).collect()
    }
}

impl Billing {
    /// Decides on a document and numbers it, together with the others that are pending.
    pub(crate) async fn number(&self, document: Numbered, cause: &Cause) -> Outcome {
        let mut answered = self.numbering.ask(&document, cause).await;
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(outcome) => return outcome,
                    // The task that had the turn was dropped.
                    Err(_) => answered = self.numbering.ask(&document, cause).await,
                },
                _turn = self.numbering.turn.lock() => self.number_pending().await,
            }
        }
    }

    /// One run. Only who has the turn calls it.
    async fn number_pending(&self) {
        let run = self.numbering.next_run().await;
        if run.is_empty() {
            return;
        }
        metrics::histogram!("billing_numbering_run_documents").record(run.len() as f64);
        let outcomes = self.environment.in_shared_units(
            &run,
            |pending| &pending.cause,
            |pending, work| Box::pin(self.record(work, &pending.document)),
        );
        let outcomes = outcomes.await;
        for (pending, outcome) in run.into_iter().zip(outcomes) {
            let outcome = outcome.map(|(document, committed)| committed.executed(&document));
            // Who asked may be gone.
            drop(pending.answer.send(outcome));
        }
    }
}
