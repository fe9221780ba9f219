//! The status of every subscription, derived from its stored checkpoint, lease and errors: every process
//! reports the same.

use chrono::{DateTime, Utc};
use kernel::checkpoint::{CheckpointError, SubscriptionStatus, SubscriptionStore as _};
use kernel::event::{EventFilter, Position};
use kernel::lag;
use kernel::store::ReadError;
use serde::Serialize;

use super::Catalogue;

/// The status of a subscription.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Name of the module.
    pub module: &'static str,
    /// Name of the subscription, with the version for a projection.
    pub subscription: String,
    /// `projection`, `policy` or `reactor`; `None` if it has never run.
    pub kind: Option<&'static str>,
    /// Version of a projection.
    pub version: Option<u32>,
    /// State of the subscription.
    pub state: State,
    /// Position of the checkpoint: every event up to here is handled.
    pub position: Position,
    /// Position of the end of the log.
    pub head: Position,
    /// Number of positions between `position` and `head`; negative if the log ends before `position`.
    pub lag_events: i64,
    /// Age in seconds of the oldest selected event that is not handled yet; 0 if there is none.
    pub lag_seconds: f64,
    /// The replica that runs it.
    pub owner: Option<String>,
    /// Time of the last change of the checkpoint.
    pub updated_at: Option<DateTime<Utc>>,
    /// The last error.
    pub last_error: Option<String>,
    /// Time of the last error.
    pub failed_at: Option<DateTime<Utc>>,
    /// Number of parked events.
    pub parked: u64,
}

/// State of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process holds the lease.
    Running,
    /// Its module was handed over to another service, which knows its progress.
    HandedOver,
    /// No process runs it.
    Unowned,
    /// It has never run.
    NotBuilt,
    /// Its checkpoint belongs to another log or to a later state of this log, or the log went back
    /// while it ran; it was not rebuilt since.
    Stopped,
    /// This release no longer runs it.
    Retired,
}

impl State {
    /// Returns the name of the state for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::HandedOver => "handed over",
            Self::Unowned => "no owner",
            Self::NotBuilt => "not built",
            Self::Stopped => "stopped",
            Self::Retired => "retired",
        }
    }
}

/// Error of a query for the status of the subscriptions.
#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    /// The log is unavailable.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A module's database is unavailable.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Catalogue {
    /// Returns the status of every subscription, ordered by module and name.
    pub async fn overviews(&self) -> Result<Vec<Overview>, OverviewError> {
        let mut read = Vec::new();
        for module in &self.modules {
            read.push((module, module.database.statuses().await?));
        }
        // The head is read after the checkpoints: a checkpoint beyond it is then of a log that lost its end.
        let head = self.environment.store.head().await?;
        let mut overviews = Vec::new();
        for (module, mut statuses) in read {
            let versions: Vec<(String, u32)> =
                module.read_models.iter().map(|one| (one.subscription(), one.version())).collect();
            let names = versions.iter().map(|(name, _)| name).chain(&module.reactions);
            let mut of_module = Vec::new();
            for name in names {
                let version = versions.iter().find(|(one, _)| one == name).map(|(_, one)| *one);
                let known = statuses.iter().position(|status| status.subscription == *name);
                let mut overview = match known.map(|index| statuses.swap_remove(index)) {
                    Some(status) => self.overview_of(module.name, status, head).await?,
                    None => never_ran(module.name, name.clone(), head),
                };
                overview.version = version;
                of_module.push(overview);
            }
            for status in statuses {
                let overview = self.overview_of(module.name, status, head).await?;
                of_module.push(Overview { state: State::Retired, ..overview });
            }
            of_module.sort_by(|one, other| one.subscription.cmp(&other.subscription));
            overviews.extend(of_module);
        }
        Ok(overviews)
    }

    async fn overview_of(
        &self,
        module: &'static str,
        status: SubscriptionStatus,
        head: Position,
    ) -> Result<Overview, OverviewError> {
        let position = status.checkpoint.position;
        let is_of_this_log = self.is_of_this_log(&status).await?;
        let owner = status.lease.as_ref().filter(|lease| !lease.expired);
        let state = match (is_of_this_log, owner) {
            (false, _) => State::Stopped,
            (true, Some(lease)) if lease.handed_over => State::HandedOver,
            (true, Some(_)) => State::Running,
            (true, None) => State::Unowned,
        };
        let is_here = state != State::HandedOver;
        let is_known = is_here && is_of_this_log;
        let oldest = if is_known { self.oldest_outstanding(&status).await? } else { None };
        let age = oldest.map_or(0, |at| (self.environment.clock.now() - at).num_milliseconds());
        let (last_error, failed_at) = status.last_error.unzip();
        Ok(Overview {
            module,
            kind: Some(status.kind.as_str()),
            version: None,
            state,
            position,
            head,
            lag_events: if is_here { lag::behind(head, position) } else { 0 },
            lag_seconds: age.max(0) as f64 / 1000.0,
            owner: owner.map(|lease| lease.owner.clone()),
            updated_at: Some(status.updated_at),
            last_error,
            failed_at,
            parked: if is_here { status.parked } else { 0 },
            subscription: status.subscription,
        })
    }

    /// Returns whether a subscription's checkpoint belongs to the current state of the log.
    pub async fn is_of_this_log(&self, status: &SubscriptionStatus) -> Result<bool, ReadError> {
        Ok(!status.stopped && status.checkpoint.is_of(&*self.environment.store).await?)
    }

    /// Returns the time of recording of the oldest selected event that is not handled yet.
    async fn oldest_outstanding(
        &self,
        status: &SubscriptionStatus,
    ) -> Result<Option<DateTime<Utc>>, ReadError> {
        let log = &self.environment.store;
        let filter = EventFilter::families(status.families.iter().cloned());
        let mut after = status.checkpoint.position;
        loop {
            let page = log.read_log(after, &filter, 1).await?;
            if let Some(event) = page.events.first() {
                return Ok(Some(event.recorded_at));
            }
            if page.scanned_to == after {
                return Ok(None);
            }
            after = page.scanned_to;
        }
    }
}

fn never_ran(module: &'static str, subscription: String, head: Position) -> Overview {
    Overview {
        module,
        subscription,
        kind: None,
        version: None,
        state: State::NotBuilt,
        position: 0,
        head,
        lag_events: lag::behind(head, 0),
        lag_seconds: 0.0,
        owner: None,
        updated_at: None,
        last_error: None,
        failed_at: None,
        parked: 0,
    }
}
