//! How far a subscription has come, for those who wait for it.

use std::time::Duration;

use tokio::sync::watch;

use crate::log::event::Position;

/// How far a projection has come, for those who wait for it. Cheap to clone.
///
/// It is exact on every replica, whichever of them runs the projection.
#[derive(Debug, Clone)]
pub struct Progress(watch::Receiver<Position>);

impl Progress {
    pub(crate) fn new(position: watch::Receiver<Position>) -> Self {
        Self(position)
    }

    /// Everything up to here is visible in the read model.
    pub fn position(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until the read model shows everything up to `position`; `false` when it takes longer
    /// than `within`.
    pub async fn reached(&self, position: Position, within: Duration) -> bool {
        let mut receiver = self.0.clone();
        let reached = receiver.wait_for(|at| *at >= position);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }
}
