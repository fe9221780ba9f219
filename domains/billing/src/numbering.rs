//! Numbering in runs: documents that are pending at the same time take their numbers in one unit of
//! work.
//!
//! All documents of a year share the stream of their series, so only one commit at a time can number
//! them. With one commit per document, the duration of a commit would limit the rate of issue.
//!
//! Combining only avoids conflicts between the tasks of this process. The revision of the series'
//! stream is what makes numbers unique and gapless. If a task is dropped after its append, its events
//! are recognised by their ids.

use kernel::combining::Combiner;
use kernel::execution::{Cause, Executed};

use crate::handlers::{Billing, Error, PendingDocument};

/// Maximum number of documents per run.
const MAX_RUN: usize = 256;

/// The documents that wait for their numbers.
pub(crate) type Numbering = Combiner<(PendingDocument, Cause), Result<Executed, Error>>;

/// Returns an empty queue.
pub(crate) fn numbering() -> Numbering {
    Combiner::new(MAX_RUN)
}

impl Billing {
    /// Decides on a document and numbers it, together with the other pending documents.
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
