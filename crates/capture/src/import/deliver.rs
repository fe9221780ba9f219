//! Sends `Sync…` commands: many concurrently, so that the store can commit them as a group, but never
//! two of one aggregate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use futures::{StreamExt as _, TryStreamExt as _};
use kernel::outage::Outage;
use kernel::sync::{SyncError, SyncOutcome, SyncRequest, SyncTarget};
use uuid::Uuid;

use crate::mapping::AggregateId;
use crate::mirror::Root;

/// Maximum number of commands in flight.
const AT_ONCE: usize = 256;
/// Maximum number of attempts per command.
const TRIES: usize = 6;

/// The content of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stated {
    /// The state, as JSON. It is parsed from this text whenever the command is sent, so that it is the
    /// same each time.
    Present(String),
    /// The aggregate is absent, with the reason.
    Absent(String),
}

/// A command to send, as stored in the outbox.
#[derive(Debug)]
pub(super) struct Command {
    /// Its sequence number in the outbox.
    pub(super) seq: i64,
    pub(super) root: Root,
    pub(super) mark: i64,
    pub(super) occurred_ms: i64,
    pub(super) correlation: Uuid,
    /// Keyed digest of the state.
    pub(super) digest: String,
    pub(super) stated: Stated,
}

/// A command with an answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) command: Command,
    /// The module's answer, or why it can never accept the command.
    pub(super) outcome: Result<SyncOutcome, String>,
}

/// A command that failed.
#[derive(Debug)]
pub(super) struct NotDelivered {
    pub(super) aggregate: AggregateId,
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// The targets, per aggregate.
pub(super) type Targets = Arc<Vec<Arc<dyn SyncTarget>>>;

/// Splits commands into rounds: the first command of each aggregate, then the second ones and so on.
///
/// A round is sent when the answers to the previous one are durable. So a command that is repeated
/// after a crash never follows a later one of its aggregate: if it was executed before, it changes
/// nothing.
pub(super) fn rounds(commands: Vec<Command>) -> Vec<Vec<Command>> {
    let mut rounds: Vec<Vec<Command>> = Vec::new();
    let mut before: HashMap<Root, usize> = HashMap::new();
    for command in commands {
        let before = before.entry(command.root.clone()).or_default();
        if rounds.len() == *before {
            rounds.push(Vec::new());
        }
        rounds[*before].push(command);
        *before += 1;
    }
    rounds
}

/// Sends a round. Commands start in the given order.
pub(super) async fn deliver(
    targets: Targets,
    round: Vec<(Command, SyncRequest)>,
) -> Result<Vec<Answered>, NotDelivered> {
    stream::iter(round)
        .map(|(command, request)| {
            let target = targets[command.root.0].clone();
            async move { send(&*target, command, request).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

static FAILING: Outage =
    Outage::new("import_commands_retried", "commands of the import fail and are retried");

async fn send(
    target: &dyn SyncTarget,
    command: Command,
    request: SyncRequest,
) -> Result<Answered, NotDelivered> {
    let mut pauses =
        kernel::backoff::endless(Duration::from_millis(20), Duration::from_secs(2)).take(TRIES - 1);
    let mut failing = FAILING.met_by(target.command());
    loop {
        let outcome = match target.sync(request.clone()).await {
            Ok(outcome) => Ok(outcome),
            Err(SyncError::NotUnderstood(reason) | SyncError::Impossible(reason)) => Err(reason),
            Err(SyncError::Failed(source)) => match pauses.next() {
                Some(pause) => {
                    failing.occurs(&*source);
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => return Err(NotDelivered { aggregate: command.root.0, source }),
            },
        };
        return Ok(Answered { command, outcome });
    }
}
