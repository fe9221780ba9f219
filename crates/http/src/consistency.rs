//! Read your writes: waiting until a read model shows what the caller knows of.

use std::time::Duration;

use kernel::event::Position;
use kernel::execution::Environment;
use kernel::projection::Progress;

use crate::problem::Problem;

/// The header in which a reader says what it must see: the `Bascule-Position` of an answer.
pub const MIN_POSITION: &str = "Bascule-Min-Position";

/// How long a read waits.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Waits until a read model shows everything up to `position`; 503 `stale-read` when it takes
/// longer than `within`.
pub async fn reached(
    progress: &Progress,
    position: Position,
    within: Duration,
) -> Result<(), Problem> {
    if progress.reached(position, within).await {
        return Ok(());
    }
    Err(Problem::stale_read(position))
}

/// Waits until a read model shows everything that is in the log now. For a command that would
/// otherwise be refused because of it.
pub async fn caught_up(environment: &Environment, progress: &Progress) -> Result<(), Problem> {
    let head = environment.store.head().await?;
    reached(progress, head, DEADLINE).await
}

/// Waits for the position a reader asked for. One that the log has not reached itself is refused
/// (412): waiting would not help.
pub(crate) async fn reached_if_known(
    environment: &Environment,
    progress: &Progress,
    position: Position,
) -> Result<(), Problem> {
    if progress.position() >= position {
        return Ok(());
    }
    let head = environment.store.head().await?;
    if position > head {
        return Err(Problem::beyond_the_log(position, head));
    }
    reached(progress, position, DEADLINE).await
}
