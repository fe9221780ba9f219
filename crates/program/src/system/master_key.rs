//! The master key, which wraps the keys of personal data.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use database::{DatabaseError, Engine};
use kernel::keys::SecretKey;

use crate::configuration::Configuration;
use crate::system::existing_store;

/// Returns the master key: configured, or from its file, which is made when neither it nor the store
/// is there yet.
pub async fn of(configuration: &Configuration) -> anyhow::Result<SecretKey> {
    if let Some(text) = &configuration.master_key {
        return Ok(SecretKey::from_hex(text.reveal())?);
    }
    let file = match &configuration.master_key_file {
        Some(file) => file.clone(),
        None => usual_key_file(configuration)?,
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => SecretKey::from_hex(&text)
            .with_context(|| format!("the master key in {}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let store = &configuration.store;
            let is_there = existing_store::exists(store.reveal()).await;
            anyhow::ensure!(
                !is_there.with_context(|| format!("the store {store} cannot be reached"))?,
                "the store {store} exists, but its master key {} does not: put the key back, or name it with BASCULE_MASTER_KEY_FILE. Without it personal data cannot be read",
                file.display()
            );
            create_master_key(&file)
        }
        Err(error) => {
            Err(error).with_context(|| format!("the master key {} cannot be read", file.display()))
        }
    }
}

/// Beside an embedded store; in `./data` when the store is on a server.
fn usual_key_file(configuration: &Configuration) -> Result<PathBuf, DatabaseError> {
    Ok(match Engine::of(configuration.store.reveal())? {
        Engine::Sqlite => {
            database::sqlite_path(configuration.store.reveal())?.with_extension("key")
        }
        Engine::Postgres => PathBuf::from("data/bascule.key"),
    })
}

/// Makes a key and its file, readable by its owner only. Of two processes that start at once, one
/// makes it and the other reads it.
fn create_master_key(file: &Path) -> anyhow::Result<SecretKey> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let context = || format!("the master key {} cannot be written", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let key = SecretKey::generate()?;
    // Written aside and linked into place: nobody ever reads half a key.
    let aside = file.with_extension(format!("key.{}", std::process::id()));
    let mut writer = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .with_context(context)?;
    writer.write_all(key.to_hex().as_bytes()).with_context(context)?;
    writer.sync_all().with_context(context)?;
    let linked = std::fs::hard_link(&aside, file);
    std::fs::remove_file(&aside).with_context(context)?;
    match linked {
        Ok(()) => {
            tracing::info!(file = %file.display(), "made a master key; keep a copy of it apart from the data");
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(file).with_context(context)?;
            Ok(SecretKey::from_hex(&text)?)
        }
        Err(error) => Err(error).with_context(context),
    }
}
