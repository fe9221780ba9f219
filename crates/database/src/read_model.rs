//! Operations on read models: build before a rollout, verify against the log, rebuild while they are
//! served, and prune when no replica serves them any more.
//!
//! A new fold happens in a [`Scratch`] of its own: the same tables at another place. Its rows are not
//! visible until it is complete.

mod comparison;
mod pruning;
mod workplace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::TryStreamExt as _;
use kernel::checkpoint::{Checkpoint, CheckpointError, ParkedEvent, SubscriptionStore as _};
use kernel::event::Position;
use kernel::execution::Environment;
use kernel::lease::Lease;
use kernel::projection::{FoldError, Projection, ProjectionRunner};
use kernel::store::ReadError;
use tokio_util::sync::CancellationToken;

use self::comparison::Comparison;
pub use self::comparison::{Difference, DifferenceKind, Verification};
pub use self::pruning::{Kept, Pruned, prune_scratches};
use self::workplace::Workplace;
use crate::subscriptions::{FORGET_ANSWERS, checkpoint_in};
use crate::{Database, DatabaseError, Scratch, Transaction};

/// Reports the progress of a fold: the current position and the target.
pub type Report<'a> = &'a mut (dyn FnMut(Position, Position) + Send);

/// Number of parked events read at once.
const PARKED_PAGE: usize = 500;
/// How often the checkpoint is polled while another process folds.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A fold is nearly complete when its last part took no longer than this.
const NEARLY_THERE: Duration = Duration::from_millis(500);
/// How often a fold catches up with a log that grows as fast, before it stops the projection.
const FOLLOWED: u32 = 10;
/// The purpose of a rebuild's lease.
const REBUILD: &str = "rebuild";
/// How often a rebuild repeats its last step after another process took the lease meanwhile.
const TAKE_OVERS: u32 = 5;

/// An earlier version of a read model, whose tables still exist for the replicas that serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The version.
    pub version: u32,
    /// Its tables.
    pub tables: &'static [&'static str],
}

/// A projection together with its tables. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel {
    name: &'static str,
    version: u32,
    tables: &'static [&'static str],
    retired: &'static [Retired],
    database: Database,
    environment: Environment,
    folder: Arc<dyn Fn(Database) -> Box<dyn Folder> + Send + Sync>,
}

/// Why an operation on a read model failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The fold failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The bookkeeping of the subscription failed, or another process took its lease.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tables could not be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The read model was never built.
    #[error(
        "{subscription} has not been built yet: run `bascule projections build {subscription}`"
    )]
    NotBuilt {
        /// Its subscription.
        subscription: String,
    },
    /// Its rows are from another log, or from a later state of this one.
    #[error(
        "the rows of {subscription} do not derive from the current state of this log: run `bascule projections rebuild {subscription}`"
    )]
    AnotherLog {
        /// Its subscription.
        subscription: String,
    },
    /// The place of the fold was removed meanwhile.
    #[error(
        "the scratch tables of {subscription} were pruned meanwhile; nothing was changed, try again"
    )]
    Pruned {
        /// Its subscription.
        subscription: String,
    },
    /// It was rebuilt during the comparison.
    #[error("{subscription} was rebuilt during the comparison; try again")]
    Replaced {
        /// Its subscription.
        subscription: String,
    },
}

impl ReadModelError {
    /// Returns whether the operation only failed because it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Fold(FoldError::Cancelled { .. }))
    }
}

/// The result of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// All events up to here are folded.
    pub position: Position,
    /// The number of rows.
    pub rows: u64,
    /// The number of parked events.
    pub parked: usize,
}

/// The runner of a projection of any type.
#[async_trait]
trait Folder: Send {
    async fn fold_to(
        &mut self,
        position: Position,
        report: &mut (dyn FnMut(Position) + Send),
        cancel: &CancellationToken,
    ) -> Result<(), FoldError>;
}

#[async_trait]
impl<P: Projection> Folder for ProjectionRunner<P> {
    async fn fold_to(
        &mut self,
        position: Position,
        report: &mut (dyn FnMut(Position) + Send),
        cancel: &CancellationToken,
    ) -> Result<(), FoldError> {
        ProjectionRunner::fold_to(self, position, report, cancel).await
    }
}

/// The target of a fold.
#[derive(Clone, Copy)]
enum Upto {
    /// The head of the log.
    Head,
    /// The position of the served rows.
    Served,
}

impl ReadModel {
    /// Returns the read model that a projection maintains in a module's database.
    pub fn new<P: Projection<Store = Database> + Clone>(
        projection: P,
        environment: &Environment,
        database: &Database,
    ) -> Self {
        let (name, version, tables) = (P::NAME, P::VERSION, P::TABLES);
        let (environment, database) = (environment.clone(), database.clone());
        let of = environment.clone();
        let folder = Arc::new(move |place: Database| {
            let (runner, _) = ProjectionRunner::new(projection.clone(), of.clone(), place);
            Box::new(runner) as Box<dyn Folder>
        });
        Self { name, version, tables, retired: &[], database, environment, folder }
    }

    /// The same, with the earlier versions whose tables may still exist.
    #[must_use]
    pub fn with_retired(self, retired: &'static [Retired]) -> Self {
        Self { retired, ..self }
    }

    /// Returns `<module>.<read model>`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns its version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the name of its subscription, which includes the version.
    pub fn subscription(&self) -> String {
        self.subscription_of(self.version)
    }

    fn subscription_of(&self, version: u32) -> String {
        format!("{}.v{version}", self.name)
    }

    /// Folds the log into the served tables up to its current head. If another process is already doing
    /// so, waits for it, and takes over if it ends early. Changes nothing if all is folded.
    pub async fn build(
        &self,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Position, ReadModelError> {
        let head = self.environment.store.head().await?;
        let mut folder = (self.folder)(self.database.clone());
        loop {
            match folder.fold_to(head, &mut |at| report(at, head), cancel).await {
                Err(FoldError::Leased { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(head),
            }
            let served = self.database.checkpoint(&self.subscription()).await?;
            if let Some(served) = served {
                report(served.position.min(head), head);
                if served.position >= head && served.is_of(&*self.environment.store).await? {
                    return Ok(head);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = cancel.cancelled() => return Err(self.cancelled()),
            }
        }
    }

    /// Folds the log again and compares the rows with the served ones, both at the same position. The
    /// service goes on.
    pub async fn verify(
        &self,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Verification, ReadModelError> {
        self.served().await?;
        let workplace = self.workplace("verification").await?;
        let verified = tokio::select! {
            verified = self.verify_in(&workplace.scratch, report, cancel) => verified,
            error = workplace.keep() => Err(error),
            () = cancel.cancelled() => Err(self.cancelled()),
        };
        workplace.remove().await;
        verified
    }

    async fn verify_in(
        &self,
        scratch: &Scratch,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Verification, ReadModelError> {
        // Folds most of it before the snapshot, which should not be held for long.
        let folded = self.follow(scratch, Upto::Served, report, cancel).await?;
        let mut snapshot = self.database.snapshot().await?;
        let subscription = self.subscription();
        let served = checkpoint_in(&mut snapshot, &subscription).await?;
        let Checkpoint { position, .. } = self.of_this_log(served).await?;
        if position < folded {
            return Err(ReadModelError::Replaced { subscription });
        }
        self.fold(scratch, position, report, cancel).await?;
        self.compare(&mut snapshot, scratch, position).await
    }

    async fn compare(
        &self,
        served: &mut Transaction,
        scratch: &Scratch,
        position: Position,
    ) -> Result<Verification, ReadModelError> {
        let mut fresh = scratch.snapshot().await?;
        let mut comparison = Comparison::new(self.subscription(), position);
        for table in self.tables {
            let (mut served, mut fresh) =
                (served.rows_of(table).await?, fresh.rows_of(table).await?);
            comparison.begin(table);
            loop {
                match (served.try_next().await?, fresh.try_next().await?) {
                    (None, None) => break,
                    (served, fresh) => comparison.add(served, fresh),
                }
            }
            comparison.end();
        }
        Ok(comparison.finished())
    }

    /// Folds the log again and replaces the served rows, in one transaction: readers see the old rows
    /// until it commits, and never older ones after newer ones. This also repairs a read model whose
    /// log was restored or replaced.
    ///
    /// The service goes on meanwhile. For the last events and the replacement the process that runs the
    /// projection is fenced out, so that the rows do not change; it continues with the new ones.
    pub async fn rebuild(
        &self,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Rebuilt, ReadModelError> {
        let workplace = self.workplace(REBUILD).await?;
        let rebuilt = tokio::select! {
            rebuilt = self.rebuild_in(&workplace.scratch, report, cancel) => rebuilt,
            error = workplace.keep() => Err(error),
        };
        workplace.remove().await;
        rebuilt
    }

    async fn rebuild_in(
        &self,
        scratch: &Scratch,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Rebuilt, ReadModelError> {
        let subscription = self.subscription();
        if self.database.checkpoint(&subscription).await?.is_none() {
            // Registers the subscription there.
            (self.folder)(self.database.clone()).fold_to(0, &mut |_| (), cancel).await?;
        }
        let mut attempt = 1;
        loop {
            self.follow(scratch, Upto::Head, report, cancel).await?;
            self.let_another_rebuild_end(&subscription, cancel).await?;
            let (owner, ttl) = (self.owner(REBUILD), self.environment.runtime.lease_ttl);
            let lease = self.database.seize(&subscription, &owner, ttl).await?;
            match self.take_over(scratch, &lease, report, cancel).await {
                Ok(rebuilt) => return Ok(rebuilt),
                // The last events took longer than the lease lasts; there are fewer now.
                Err(ReadModelError::Checkpoint(CheckpointError::LeaseLost { .. }))
                    if attempt < TAKE_OVERS =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    self.database.release(&lease).await?;
                    return Err(error);
                }
            }
        }
    }

    /// Waits until another rebuild ends or its lease expires: if both took the lease from each other,
    /// neither would finish.
    async fn let_another_rebuild_end(
        &self,
        subscription: &str,
        cancel: &CancellationToken,
    ) -> Result<(), ReadModelError> {
        let rebuilds = format!("({REBUILD})");
        loop {
            let status = self.database.status(subscription).await?;
            let lease = status.and_then(|status| status.lease).filter(|lease| !lease.expired);
            if !lease.is_some_and(|lease| lease.owner.ends_with(&rebuilds)) {
                return Ok(());
            }
            let waiting = tokio::time::sleep(LOOK_EVERY);
            if cancel.run_until_cancelled(waiting).await.is_none() {
                return Err(self.cancelled());
            }
        }
    }

    /// Replaces the rows while no other process changes them.
    async fn take_over(
        &self,
        scratch: &Scratch,
        lease: &Lease,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Rebuilt, ReadModelError> {
        // A checkpoint of another log, or of a later state of this one, is meaningless.
        let is_of_this_log = lease.checkpoint.is_of(&*self.environment.store).await?;
        if is_of_this_log {
            self.fold(scratch, lease.checkpoint.position, report, cancel).await?;
        }
        let subscription = self.subscription();
        let unknown = || CheckpointError::Unknown { subscription: subscription.clone() };
        let folded = scratch.checkpoint(&subscription).await?.ok_or_else(unknown)?;
        let parked = parked_in(scratch, &subscription).await?;
        let mut transaction = scratch.begin_replacing().await?;
        let (from, stays) = (lease.checkpoint.position, lease.checkpoint);
        Database::fence(&mut transaction, lease, from, stays).await?;
        // Reads the current position: if the place was pruned meanwhile, it has no rows.
        if scratch.position_in(&mut transaction, &subscription).await? != Some(folded.position) {
            return Err(ReadModelError::Pruned { subscription });
        }
        let mut rows = 0;
        for table in self.tables {
            rows += scratch.replace_rows(&mut transaction, table).await?;
        }
        self.database.reset(&mut transaction, &subscription, folded, &parked).await?;
        if !is_of_this_log {
            // The effects of answered requests may be gone. The log itself recognises those that are
            // not gone when the requests are repeated.
            transaction.query(&FORGET_ANSWERS).execute().await?;
        }
        transaction.commit().await?;
        Ok(Rebuilt { position: folded.position, rows, parked: parked.len() })
    }

    /// Folds until little is left to do; returns the checkpoint.
    async fn follow(
        &self,
        scratch: &Scratch,
        upto: Upto,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<Position, ReadModelError> {
        let mut times = 0;
        loop {
            let begun = Instant::now();
            let position = match upto {
                Upto::Head => self.environment.store.head().await?,
                Upto::Served => self.served().await?.position,
            };
            self.fold(scratch, position, report, cancel).await?;
            times += 1;
            if begun.elapsed() <= NEARLY_THERE || times == FOLLOWED {
                return Ok(position);
            }
        }
    }

    async fn fold(
        &self,
        scratch: &Scratch,
        position: Position,
        report: Report<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), FoldError> {
        let mut folder = (self.folder)(Database::clone(scratch));
        folder.fold_to(position, &mut |at| report(at, position), cancel).await
    }

    /// Returns the checkpoint of the served rows.
    async fn served(&self) -> Result<Checkpoint, ReadModelError> {
        let checkpoint = self.database.checkpoint(&self.subscription()).await?;
        self.of_this_log(checkpoint).await
    }

    async fn of_this_log(
        &self,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Checkpoint, ReadModelError> {
        let subscription = self.subscription();
        match checkpoint {
            None => Err(ReadModelError::NotBuilt { subscription }),
            Some(checkpoint) if checkpoint.is_of(&*self.environment.store).await? => Ok(checkpoint),
            Some(_) => Err(ReadModelError::AnotherLog { subscription }),
        }
    }

    async fn workplace(&self, purpose: &str) -> Result<Workplace, ReadModelError> {
        Workplace::beside(&self.database, &self.environment, &self.owner(purpose)).await
    }

    /// Returns the owner of the lease, as operators see it.
    fn owner(&self, purpose: &str) -> String {
        format!("{} ({purpose})", self.environment.runtime.replica)
    }

    fn cancelled(&self) -> ReadModelError {
        FoldError::Cancelled { subscription: self.subscription() }.into()
    }
}

async fn parked_in(
    scratch: &Scratch,
    subscription: &str,
) -> Result<Vec<ParkedEvent>, CheckpointError> {
    let mut all: Vec<ParkedEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.position);
        let page = scratch.parked_events(subscription, None, after, PARKED_PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
