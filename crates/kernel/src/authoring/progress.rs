//! The progress of a subscription: the only way to wait for a read model or a reaction.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::log::event::Position;

/// The maximum time to wait for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A client's request waits: 5 s.
    Request,
    /// A reaction waits and is retried: 10 s.
    Reaction,
    /// A starting process waits before it reports ready: 10 s.
    Start,
}

impl From<Patience> for Duration {
    fn from(patience: Patience) -> Self {
        match patience {
            Patience::Request => Self::from_secs(5),
            Patience::Reaction | Patience::Start => Self::from_secs(10),
        }
    }
}

/// The progress of a projection or reaction, for callers that wait for it. Cheap to clone.
///
/// For a projection it is exact on every replica, whichever runs it. For a reaction it is exact on
/// the replica that runs it; on the others it is the stored checkpoint, which follows later.
#[derive(Debug, Clone)]
pub struct Progress(watch::Receiver<Position>);

impl Progress {
    pub(crate) fn new(position: watch::Receiver<Position>) -> Self {
        Self(position)
    }

    /// Returns the position up to which all events are visible in the read model, or reacted to.
    pub fn position(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until all events up to `position` are processed. Returns `false` if that takes longer
    /// than `within`: a [`Patience`] or a duration.
    pub async fn reached(&self, position: Position, within: impl Into<Duration>) -> bool {
        Self::all_reached(&[self], position, within).await
    }

    /// Waits until all of them have processed all events up to `position`. Returns `false` if that
    /// takes longer than `within` in total.
    pub async fn all_reached(
        all: &[&Self],
        position: Position,
        within: impl Into<Duration>,
    ) -> bool {
        let deadline = Instant::now() + within.into();
        for progress in all {
            let mut receiver = progress.0.clone();
            let reached = receiver.wait_for(|at| *at >= position);
            if !matches!(timeout_at(deadline, reached).await, Ok(Ok(_))) {
                return false;
            }
        }
        true
    }
}
