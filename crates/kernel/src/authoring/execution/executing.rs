//! Executes commands: each is decided in a unit of work, and decided again after a write conflict.

use futures::future::BoxFuture;

use super::unit::{Committed, Retries, Source, UnitOfWork};
use super::{CarriedOut, Cause, Environment, ExecuteError, Executed, ExpectedAt};
use crate::authoring::decider::Decider;
use crate::log::store::AppendError;

/// One attempt of a decision that [`Environment::in_unit`] runs.
pub type Attempt<'w, T, R> = BoxFuture<'w, Result<T, ExecuteError<R>>>;

impl Environment {
    /// Executes a command on one aggregate, and decides again after a write conflict.
    ///
    /// A cause that was already executed is recognised by the id of its first event and changes
    /// nothing.
    pub async fn execute<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, ExecuteError<D::Refusal>> {
        Ok(self.carry_out::<D>(id, command, cause, expected).await?.executed)
    }

    /// Like [`Self::execute`], and also returns the recorded events.
    pub async fn carry_out<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<CarriedOut<D::Event>, ExecuteError<D::Refusal>> {
        let (command, expected) = (&command, expected.as_ref());
        let attempt = self.in_unit(cause, |work| {
            Box::pin(async move {
                let loaded = work.load::<D>(id).await?;
                let events = work.decide(&loaded, command, expected).await?;
                Ok((loaded, events))
            })
        });
        let ((loaded, events), committed) = attempt.await?;
        let executed = committed.executed(&loaded);
        Ok(CarriedOut { executed, events: if executed.recorded { events } else { Vec::new() } })
    }

    /// Like [`Self::execute`], for a command that creates an aggregate: it is decided without
    /// reading. If the aggregate already exists, it is decided again on its state.
    pub async fn create<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
    ) -> Result<Executed, ExecuteError<D::Refusal>> {
        let command = &command;
        let attempt = self.in_unit(cause, |work| {
            Box::pin(async move {
                let loaded = work.load_new::<D>(id).await?;
                work.decide(&loaded, command, None).await?;
                Ok(loaded)
            })
        });
        let (loaded, committed) = attempt.await?;
        Ok(committed.executed(&loaded))
    }

    /// Makes one decision over one or several aggregates and appends its events, all or nothing;
    /// repeats it after a write conflict.
    ///
    /// The first attempt decides on cached aggregates. If it ends in a refusal or records nothing,
    /// it is repeated on the current log: only an append proves that the cached state was current.
    pub async fn in_unit<'a, T, R: std::error::Error>(
        &'a self,
        cause: &'a Cause,
        mut attempt: impl for<'w> FnMut(&'w mut UnitOfWork<'a>) -> Attempt<'w, T, R>,
    ) -> Result<(T, Committed), ExecuteError<R>> {
        let mut retries = Retries::default();
        let mut source = Source::Memory;
        let mut met_its_ids = false;
        loop {
            let mut work = UnitOfWork::new(self, cause, source);
            let outcome = attempt(&mut work).await;
            source = Source::Log;
            if work.is_to_be_decided_again(&outcome) {
                continue;
            }
            let (value, assumes) = (outcome?, work.assumes());
            match work.commit().await {
                Ok(committed) if assumes && committed.is_repetition() => {}
                Ok(committed) => return Ok((value, committed)),
                // The cause was executed meanwhile with another decision: the next attempt
                // recognises it, unless its events are in another stream.
                Err(AppendError::IdempotencyMismatch { .. }) if !met_its_ids => met_its_ids = true,
                Err(AppendError::WrongExpectedRevision { .. } | AppendError::WentBack) => {
                    if !retries.again().await {
                        return Err(ExecuteError::Contention);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
