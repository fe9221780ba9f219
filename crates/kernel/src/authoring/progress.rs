//! How far a subscription has come: the one way to wait for a read model or a reaction.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::log::event::Position;

/// How long a subscription is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A client waits for the answer to its request: 5 s.
    Request,
    /// A reaction waits, and is tried again: 10 s.
    Reaction,
    /// A process waits before it says that it is ready: 10 s.
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

/// How far a projection or reaction has come, for those who wait for it. Cheap to clone.
///
/// Of a projection it is exact on every replica, whichever of them runs it. Of a reaction it is exact
/// on the replica that runs it; on the others it is the stored checkpoint, which comes after.
#[derive(Debug, Clone)]
pub struct Progress(watch::Receiver<Position>);

impl Progress {
    pub(crate) fn new(position: watch::Receiver<Position>) -> Self {
        Self(position)
    }

    /// Returns the position up to which everything is done: visible in the read model, or reacted to.
    pub fn position(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until everything up to `position` is done. Returns `false` when that takes longer than
    /// `within`: a [`Patience`], or a time.
    pub async fn reached(&self, position: Position, within: impl Into<Duration>) -> bool {
        Self::all_reached(&[self], position, within).await
    }

    /// Waits until all of them are done with everything up to `position`. Returns `false` when that
    /// takes longer than `within`, for all of them together.
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
