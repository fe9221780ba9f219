//! Numbering by runs: documents that are pending at the same time take their numbers in one unit.
//!
//! All documents of a year share the stream of their series, so that one commit at a time can number
//! them. Were each committed by itself, a commit's duration would bound how many are issued, however
//! many are asked for at once.
//!
//! Combining only spares this process's tasks the conflicts they would have with each other; what makes
//! numbers unique and without a hole is the series stream's revision. What a task that was dropped on
//! the way appended all the same is recognised by its event ids.

use kernel::combining::Combiner;
use kernel::execution::{Cause, Executed};

use crate::handlers::{Billing, Error, PendingDocument};

/// Most documents of a run.
const MOST: usize = 256;

/// The documents that wait for their numbers.
pub(crate) type Numbering = Combiner<(PendingDocument, Cause), Result<Executed, Error>>;

/// Nothing waits yet.
pub(crate) fn numbering() -> Numbering {
    Combiner::new(MOST)
}

impl Billing {
    /// Decides on a document and numbers it, together with the others that are pending.
    pub(crate) async fn number(
        &self,
        document: PendingDocument,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        let asked = (document, cause.clone());
        self.numbering.ask(asked, |run| self.number_run(run)).await
    }

    async fn number_run(&self, run: Vec<(PendingDocument, Cause)>) -> Vec<Result<Executed, Error>> {
        metrics::histogram!("billing_numbering_run_documents").record(run.len() as f64);
        let outcomes = self.environment.in_shared_units(
            &run,
            |(_, cause)| cause,
            |(document, _), work| Box::pin(self.record(work, document)),
        );
        let outcomes = outcomes.await.into_iter();
        outcomes
            .map(|outcome| outcome.map(|(document, committed)| committed.executed(&document)))
            .collect()
    }
}
