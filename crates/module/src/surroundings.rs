//! The program around a module, and why a module cannot be opened in it.

use async_trait::async_trait;
use database::DatabaseError;
use kernel::keys::SecretKey;
use kernel::store::BoxError;

use crate::settings::SettingsError;

/// The program around a module, as far as a module needs it while it opens.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Returns the URL of a further database beside the event store, on its engine; `None` where the
    /// store is reached over the network.
    fn beside_the_store(&self, name: &str) -> Result<Option<String>, OpenError>;

    /// Returns a key of the module's own: the same at every start and on every replica, derived from
    /// the master key.
    async fn derived_key(&self, name: &str) -> Result<SecretKey, OpenError>;
}

/// No program: a module that is opened alone, as in its tests.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

#[async_trait]
impl Surroundings for Alone {
    fn beside_the_store(&self, _: &str) -> Result<Option<String>, OpenError> {
        Ok(None)
    }

    async fn derived_key(&self, _: &str) -> Result<SecretKey, OpenError> {
        SecretKey::generate().map_err(OpenError::unusable)
    }
}

/// Why a module cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its database cannot be opened or migrated.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its section of the configuration cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something else that it needs is not there.
    #[error("{0}")]
    Unusable(#[source] BoxError),
}

impl OpenError {
    /// Something that the module needs is not there, and what to do about it.
    pub fn unusable(reason: impl Into<BoxError>) -> Self {
        Self::Unusable(reason.into())
    }
}
