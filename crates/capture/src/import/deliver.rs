//! Sends `Sync…` commands: many at once, so that the store can commit them as a group, but those
//! of one aggregate one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use kernel::sync::{LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};

use crate::mapping::AggregateId;

/// Commands on their way at the same time.
const AT_ONCE: usize = 256;
/// How often a command is tried.
const TRIES: usize = 6;

/// A command to send.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) aggregate: AggregateId,
    pub(super) key: String,
    pub(super) mark: i64,
    /// Keyed digest of the state.
    pub(super) digest: String,
    pub(super) request: SyncRequest,
}

/// A command that was answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) aggregate: AggregateId,
    pub(super) key: String,
    pub(super) mark: i64,
    pub(super) digest: String,
    /// What the module says, or why it does not understand.
    pub(super) outcome: Result<SyncOutcome, String>,
    /// Why the aggregate is absent, if it is.
    pub(super) absent: Option<String>,
}

/// A command that could not be carried out.
#[derive(Debug)]
pub(super) struct NotDelivered {
    pub(super) aggregate: AggregateId,
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// The targets, per aggregate.
pub(super) type Targets = Arc<Vec<Arc<dyn SyncTarget>>>;

/// Sends commands; answers come in the order of each aggregate.
///
/// Aggregates begin in the order given, and each one's commands follow each other.
pub(super) async fn deliver(
    targets: Targets,
    commands: Vec<Command>,
) -> Result<Vec<Answered>, NotDelivered> {
    let mut chains: Vec<Vec<Command>> = Vec::new();
    let mut known: HashMap<(AggregateId, String), usize> = HashMap::new();
    for command in commands {
        let root = (command.aggregate, command.key.clone());
        let chain = *known.entry(root).or_insert(chains.len());
        match chains.get_mut(chain) {
            Some(chain) => chain.push(command),
            None => chains.push(vec![command]),
        }
    }
    let mut running = stream::iter(chains)
        .map(|chain| {
            let targets = targets.clone();
            async move {
                let mut answers = Vec::with_capacity(chain.len());
                for command in chain {
                    answers.push(send(&*targets[command.aggregate], command).await?);
                }
                Ok::<_, NotDelivered>(answers)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut answered = Vec::new();
    while let Some(answers) = running.next().await {
        answered.extend(answers?);
    }
    Ok(answered)
}

async fn send(target: &dyn SyncTarget, command: Command) -> Result<Answered, NotDelivered> {
    let Command { aggregate, key, mark, digest, request } = command;
    let absent = match &request.state {
        LegacyState::Absent { reason } => Some(reason.clone()),
        LegacyState::Present(_) => None,
    };
    let mut pauses =
        kernel::backoff::endless(Duration::from_millis(20), Duration::from_secs(2)).take(TRIES - 1);
    loop {
        let outcome = match target.sync(request.clone()).await {
            Ok(outcome) => Ok(outcome),
            Err(SyncError::NotUnderstood(reason)) => Err(reason),
            Err(SyncError::Failed(source)) => match pauses.next() {
                Some(pause) => {
                    tracing::warn!(command = target.command(), error = %source, "a command failed; it is tried again");
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => return Err(NotDelivered { aggregate, source }),
            },
        };
        return Ok(Answered { aggregate, key, mark, digest, outcome, absent });
    }
}
