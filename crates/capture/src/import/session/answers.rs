//! What modules answered: marks go, digests are remembered, quarantine is entered and left.

use std::collections::HashMap;

use database::Transaction;
use kernel::sync::SyncOutcome;

use super::super::ImportError;
use super::super::deliver::Answered;
use super::Session;
use crate::mapping::AggregateId;

impl Session<'_> {
    /// Waits for the commands on their way and records their answers.
    pub(super) async fn record_answers(
        &mut self,
        transaction: &mut Transaction,
    ) -> Result<(), ImportError> {
        let Some(flight) = self.flight.take() else {
            return Ok(());
        };
        let mapping = &self.import.mapping;
        let answers = flight.answers.await.map_err(|_| ImportError::Panicked)?;
        let answers = answers.map_err(|failed| ImportError::NotDelivered {
            aggregate: mapping.aggregates[failed.aggregate].name.clone(),
            source: failed.source,
        })?;
        let name = |answered: &Answered| mapping.aggregates[answered.aggregate].name.as_str();
        // Answers of one aggregate are in order: the last one counts.
        let mut last: HashMap<(AggregateId, &str), &Answered> = HashMap::new();
        for answered in &answers {
            let counts = &mut self.summary.commands;
            let (counter, label) = match &answered.outcome {
                Ok(SyncOutcome::Imported) => (&mut counts.imported, "imported"),
                Ok(SyncOutcome::Revised(_)) => (&mut counts.revised, "revised"),
                Ok(SyncOutcome::Unchanged) => (&mut counts.unchanged, "unchanged"),
                Ok(SyncOutcome::Ignored) => (&mut counts.ignored, "ignored"),
                Ok(SyncOutcome::Conflict) => (&mut counts.conflicts, "conflict"),
                Err(_) => (&mut counts.not_understood, "not_understood"),
            };
            *counter += 1;
            let command = mapping.aggregates[answered.aggregate].command.clone();
            metrics::counter!("import_commands_total", "command" => command, "outcome" => label)
                .increment(1);
            last.insert((answered.aggregate, answered.key.as_str()), answered);
        }
        let marks = answers.iter().map(|one| (name(one), one.key.as_str(), one.mark));
        self.ledger.unmark(transaction, marks).await?;
        let understood = || last.values().filter(|answered| answered.outcome.is_ok());
        let states = understood().map(|one| {
            let ignored = one.outcome == Ok(SyncOutcome::Ignored);
            let why = one.absent.as_deref().filter(|_| ignored);
            (name(one), one.key.as_str(), one.digest.as_str(), why)
        });
        self.ledger.delivered(transaction, states).await?;
        let broken = &self.broken;
        let released = understood().filter(|one| {
            let root = (one.aggregate, one.key.clone());
            broken.get(&root).is_none_or(|mark| *mark < one.mark)
        });
        let released = released.map(|one| (name(one), one.key.as_str()));
        self.ledger.release(transaction, released).await?;
        let refused = last.values().filter_map(|one| {
            let why = one.outcome.as_ref().err()?;
            Some((name(one), one.key.as_str(), why.as_str()))
        });
        let now = self.now();
        self.ledger.quarantine(transaction, refused, &now).await?;
        Ok(())
    }

    /// Waits for the commands on their way and records their answers in a turn of their own.
    pub(super) async fn settle(&mut self) -> Result<(), ImportError> {
        if self.flight.is_none() {
            return Ok(());
        }
        let mut transaction = self.import.database.begin().await?;
        self.record_answers(&mut transaction).await?;
        self.advance(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }
}
