//! The master key, which encrypts the keys of personal data.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use database::{DatabaseError, Engine};
use kernel::keys::SecretKey;

use crate::configuration::Configuration;
use crate::system::existing_store;

/// Returns the master key from the configuration or from its file. Creates the file if neither the file
/// nor the store exists.
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
                !is_there.with_context(|| format!("cannot reach the store {store}"))?,
                "the store {store} exists, but its master key {} does not: restore the key file, or name it with BASCULE_MASTER_KEY_FILE. Personal data cannot be read without it",
                file.display()
            );
            create_master_key(&file)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the master key {}", file.display()))
        }
    }
}

/// Returns the default path: beside an embedded store, in `./data` if the store is on a server.
fn usual_key_file(configuration: &Configuration) -> Result<PathBuf, DatabaseError> {
    Ok(match Engine::of(configuration.store.reveal())? {
        Engine::Sqlite => {
            database::sqlite_path(configuration.store.reveal())?.with_extension("key")
        }
        Engine::Postgres => PathBuf::from("data/bascule.key"),
    })
}

/// Creates a key and its file, readable only by its owner. If two processes start at the same time, one
/// creates the file and the other reads it.
fn create_master_key(file: &Path) -> anyhow::Result<SecretKey> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let context = || format!("cannot write the master key {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let key = SecretKey::generate()?;
    // Written to a temporary file and linked: no process can read a partial key.
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
            tracing::info!(file = %file.display(), "created a master key; keep a copy of it separate from the data");
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(file).with_context(context)?;
            Ok(SecretKey::from_hex(&text)?)
        }
        Err(error) => Err(error).with_context(context),
    }
}
