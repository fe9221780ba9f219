//! Runs a result through its module on an in-memory store.

use std::sync::Arc;

use capture::Stated;
use kernel::codec::Codec;
use kernel::execution::{Cause, Environment};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::{SystemClock, new_id};
use kernel::sync::{LegacyReference, StatedCommand, SyncError, SyncOutcome, SyncRequest};
use uuid::Uuid;

/// The module's answer to a result.
pub(super) struct Answer {
    pub(super) command: &'static str,
    pub(super) said: String,
    pub(super) understood: bool,
}

/// Executes the command on an in-memory store and returns the module's answer.
pub(super) async fn answer(
    command: &StatedCommand,
    source: &str,
    (id, reference): (Uuid, &str),
    result: &Result<Stated, String>,
) -> anyhow::Result<Answer> {
    let answered = |said: &str, understood| Answer {
        command: command.name,
        said: said.to_owned(),
        understood,
    };
    let state = match result {
        Ok(stated) => stated.state(),
        Err(why) => return Ok(answered(&format!("quarantine: {why}"), false)),
    };
    let clock = Arc::new(SystemClock);
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    let environment = Environment::new(store, codec, clock, SecretKey::generate()?);
    let mut cause = Cause::request(new_id(), "import");
    source.clone_into(&mut cause.origin_system);
    let legacy = LegacyReference { source: source.to_owned(), id: reference.to_owned() };
    let request = SyncRequest { id, legacy, state, cause };
    Ok(match command.entrance(environment).sync(request).await {
        Ok(SyncOutcome::Ignored) => answered("ignored: it is no such aggregate", true),
        Ok(_) => answered("understood", true),
        Err(SyncError::NotUnderstood(why) | SyncError::Impossible(why)) => {
            answered(&format!("quarantine: {why}"), false)
        }
        Err(SyncError::Failed(error)) => {
            return Err(anyhow::Error::from_boxed(error).context("the module failed"));
        }
    })
}
