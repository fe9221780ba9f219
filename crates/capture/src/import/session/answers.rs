//! Sends commands to the modules and records their answers: commands leave the outbox, digests are
//! stored, aggregates enter and leave the quarantine.

use chrono::DateTime;
use database::{DatabaseError, Transaction};
use kernel::execution::Cause;
use kernel::sync::{LegacyReference, LegacyState, SyncOutcome, SyncRequest};
use tokio_util::task::AbortOnDropHandle;

use super::super::ImportError;
use super::super::deliver::{Answered, Command, Stated, deliver, rounds};
use super::{Flight, Session};

impl Session<'_> {
    /// Sends what an earlier run left in the outbox, before anything newer is read.
    pub(super) async fn redeliver(&mut self) -> Result<(), ImportError> {
        let mut after = i64::MIN;
        while !self.cancel.is_cancelled() {
            let (database, page) = (&self.import.database, self.import.sizes.page);
            let posted = self.ledger.posted(database, after, page).await?;
            let Some((last, _)) = posted.last() else { break };
            after = last.seq;
            // Commands of aggregates that the mapping no longer has stay until it has them again.
            let aggregates = &self.import.mapping.aggregates;
            let known = posted.into_iter().filter_map(|(mut command, name)| {
                command.root.0 = aggregates.iter().position(|one| one.name == name)?;
                Some(command)
            });
            let known = known.collect();
            self.dispatch(known)?;
            self.settle().await?;
            self.report();
        }
        Ok(())
    }

    /// Sends commands that are in the outbox. No other command may be in flight.
    pub(super) fn dispatch(&mut self, commands: Vec<Command>) -> Result<(), ImportError> {
        let state = |command: &Command| (command.root.clone(), command.digest.clone());
        self.pending = commands.iter().map(state).collect();
        self.rounds = rounds(commands).into();
        self.send_round()
    }

    /// Sends the next round, if any. After a cancellation it stays in the outbox.
    fn send_round(&mut self) -> Result<(), ImportError> {
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        let Some(round) = self.rounds.pop_front() else {
            return Ok(());
        };
        self.snapshot.commands += round.len() as u64;
        self.summary.commands.sent += round.len() as u64;
        let requests = round.into_iter().map(|command| {
            let request = self.request(&command)?;
            Ok((command, request))
        });
        let requests = requests.collect::<Result<Vec<_>, ImportError>>()?;
        let delivery = deliver(self.import.targets.clone(), requests);
        self.flight = Some(Flight(AbortOnDropHandle::new(tokio::spawn(delivery))));
        Ok(())
    }

    fn request(&self, command: &Command) -> Result<SyncRequest, ImportError> {
        let mapping = &self.import.mapping;
        let source = &mapping.source;
        let (aggregate, key) = &command.root;
        let state = match &command.stated {
            Stated::Absent(reason) => LegacyState::Absent { reason: reason.clone() },
            Stated::Present(text) => {
                LegacyState::Present(serde_json::from_str(text).map_err(|_| {
                    let reason = "a state in the outbox is not JSON".to_owned();
                    DatabaseError::Damaged { column: "state".to_owned(), reason }
                })?)
            }
        };
        let mut cause = Cause::request(command.correlation, "import");
        cause.origin_system.clone_from(source);
        cause.occurred_at = DateTime::from_timestamp_millis(command.occurred_ms);
        Ok(SyncRequest {
            id: mapping.uid(*aggregate, key),
            legacy: LegacyReference {
                source: source.clone(),
                id: mapping.aggregates[*aggregate].reference(key),
            },
            state,
            cause,
        })
    }

    /// Waits for the commands in flight, round by round. Returns the answers to the last round, to be
    /// recorded with the next turn; those to the others are recorded at once, because only then the
    /// next round may be sent.
    pub(super) async fn answers(&mut self) -> Result<Vec<Answered>, ImportError> {
        let mut answers = Vec::new();
        while let Some(flight) = self.flight.take() {
            answers = self.landed(flight).await?;
            if self.rounds.is_empty() || self.cancel.is_cancelled() {
                break;
            }
            let mut transaction = self.open(&self.committed.state).await?;
            self.record(&mut transaction, &std::mem::take(&mut answers)).await?;
            transaction.commit().await?;
            self.send_round()?;
        }
        if self.rounds.is_empty() {
            self.pending.clear();
        }
        Ok(answers)
    }

    /// Waits for one round.
    async fn landed(&mut self, flight: Flight) -> Result<Vec<Answered>, ImportError> {
        let mapping = &self.import.mapping;
        let answers = flight.0.await.map_err(|_| ImportError::Panicked)?;
        let answers = answers.map_err(|failed| ImportError::NotDelivered {
            aggregate: mapping.aggregates[failed.aggregate].name.clone(),
            source: failed.source,
        })?;
        for answered in &answers {
            let counts = &mut self.summary.commands;
            let (counter, label) = match &answered.outcome {
                Ok(SyncOutcome::Imported) => (&mut counts.imported, "imported"),
                Ok(SyncOutcome::Revised(_)) => (&mut counts.revised, "revised"),
                Ok(SyncOutcome::Unchanged) => (&mut counts.unchanged, "unchanged"),
                Ok(SyncOutcome::Ignored) => (&mut counts.ignored, "ignored"),
                Ok(SyncOutcome::Conflict) => (&mut counts.conflicts, "conflict"),
                Ok(SyncOutcome::Suppressed) => (&mut counts.suppressed, "suppressed"),
                Err(_) => (&mut counts.not_understood, "not_understood"),
            };
            *counter += 1;
            let command = mapping.aggregates[answered.command.root.0].command.clone();
            metrics::counter!("import_commands_total", "command" => command, "outcome" => label)
                .increment(1);
        }
        Ok(answers)
    }

    /// Records answers: their commands leave the outbox, and the states of the aggregates are stored.
    pub(super) async fn record(
        &self,
        transaction: &mut Transaction,
        answers: &[Answered],
    ) -> Result<(), ImportError> {
        let mapping = &self.import.mapping;
        let name = |command: &Command| mapping.aggregates[command.root.0].name.as_str();
        self.ledger.answered(transaction, answers.iter().map(|one| one.command.seq)).await?;
        let understood = || answers.iter().filter(|one| one.outcome.is_ok());
        // Not even a digest of an erased person is stored.
        let taken = understood().filter(|one| one.outcome != Ok(SyncOutcome::Suppressed));
        let states = taken.map(|Answered { command, outcome }| {
            let ignored = *outcome == Ok(SyncOutcome::Ignored);
            let why = match &command.stated {
                Stated::Absent(why) if ignored => Some(why.as_str()),
                _ => None,
            };
            (name(command), command.root.1.as_str(), command.digest.as_str(), why)
        });
        self.ledger.delivered(transaction, states).await?;
        let released = understood()
            .map(|Answered { command, .. }| (name(command), command.root.1.as_str(), command.mark));
        self.ledger.release(transaction, released).await?;
        let refused = answers.iter().filter_map(|Answered { command, outcome }| {
            let why = outcome.as_ref().err()?;
            Some((name(command), command.root.1.as_str(), command.mark, why.as_str()))
        });
        let now = self.import.clock.now();
        self.ledger.quarantine(transaction, refused, now).await?;
        Ok(())
    }

    /// Waits for the commands in flight and records their answers in a turn of their own.
    pub(super) async fn settle(&mut self) -> Result<(), ImportError> {
        if self.flight.is_none() {
            return Ok(());
        }
        let answers = self.answers().await?;
        let mut transaction = self.open(&self.committed.state).await?;
        self.record(&mut transaction, &answers).await?;
        Ok(transaction.commit().await?)
    }
}
