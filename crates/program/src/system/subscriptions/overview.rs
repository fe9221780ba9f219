//! How every subscription is, told from what is kept of it: the same from every process.

use chrono::{DateTime, Utc};
use kernel::checkpoint::{CheckpointError, SubscriptionStatus, SubscriptionStore as _};
use kernel::event::{EventFilter, Position};
use kernel::lag;
use kernel::store::ReadError;
use serde::Serialize;

use super::Catalogue;

/// How a subscription is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Its module.
    pub module: &'static str,
    /// Its name; of a projection with the version.
    pub subscription: String,
    /// `projection`, `policy` or `reactor`; unknown while it has never run.
    pub kind: Option<&'static str>,
    /// The version, of a projection.
    pub version: Option<u32>,
    /// Whether it works.
    pub state: State,
    /// Everything up to here is done.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// How many positions of the log that is; negative when the log ends before `position`.
    pub lag_events: i64,
    /// Age of the oldest wanted event that is not done; 0 when all are.
    pub lag_seconds: f64,
    /// Who runs it.
    pub owner: Option<String>,
    /// When the checkpoint moved last.
    pub updated_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When that was.
    pub failed_at: Option<DateTime<Utc>>,
    /// How many of its events are parked.
    pub parked: u64,
}

/// Whether a subscription works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process has the lease.
    Running,
    /// Its module was handed over: how it gets on is known there.
    HandedOver,
    /// No process runs it.
    Unowned,
    /// It has never run.
    NotBuilt,
    /// Its checkpoint is of another log, or of a later state of this one; or the log went back under
    /// it, and it was not rebuilt since.
    Stopped,
    /// This release does not run it any more.
    Retired,
}

impl State {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::HandedOver => "handed over",
            Self::Unowned => "nobody runs it",
            Self::NotBuilt => "not built",
            Self::Stopped => "stopped",
            Self::Retired => "retired",
        }
    }
}

/// Why it cannot be told how the subscriptions are.
#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    /// The log does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A module's database does not answer.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Catalogue {
    /// How every subscription is, module by module, by name.
    pub async fn overviews(&self) -> Result<Vec<Overview>, OverviewError> {
        let head = self.environment.store.head().await?;
        let mut overviews = Vec::new();
        for module in &self.modules {
            let mut statuses = module.database.statuses().await?;
            let versions: Vec<(String, u32)> =
                module.read_models.iter().map(|one| (one.subscription(), one.version())).collect();
            let names = versions.iter().map(|(name, _)| name).chain(&module.reactions);
            let mut of_module = Vec::new();
            for name in names {
                let version = versions.iter().find(|(one, _)| one == name).map(|(_, one)| *one);
                let known = statuses.iter().position(|status| status.subscription == *name);
                let mut overview = match known.map(|index| statuses.swap_remove(index)) {
                    Some(status) => self.told(module.name, status, head).await?,
                    None => never_ran(module.name, name.clone(), head),
                };
                overview.version = version;
                of_module.push(overview);
            }
            for status in statuses {
                let overview = self.told(module.name, status, head).await?;
                of_module.push(Overview { state: State::Retired, ..overview });
            }
            of_module.sort_by(|one, other| one.subscription.cmp(&other.subscription));
            overviews.extend(of_module);
        }
        Ok(overviews)
    }

    async fn told(
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

    /// Whether a subscription belongs to the log as that is now, as far as is known.
    pub async fn is_of_this_log(&self, status: &SubscriptionStatus) -> Result<bool, ReadError> {
        Ok(!status.stopped && status.checkpoint.is_of(&*self.environment.store).await?)
    }

    /// When the oldest wanted event that is not done was recorded.
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
