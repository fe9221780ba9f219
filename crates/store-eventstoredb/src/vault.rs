//! The keys of personal data, stored by the remote side. Here they are in memory for as long as the
//! codec caches them, a minute at most.

use async_trait::async_trait;
use kernel::keys::{KeyError, KeyHolder, KeyVault, SecretKey, SubjectKey};
use tonic::Status;
use uuid::Uuid;

use crate::connection::{BadAnswer, Connection, uuid};
use crate::events::bytes;
use crate::service::{
    DestroyKeysRequest, IsDestroyedRequest, LookupKeyRequest, OpeningKeyRequest, SealingKeyRequest,
};

/// The key vault of another bascule.
pub(crate) struct RemoteVault {
    connection: Connection,
}

impl RemoteVault {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }
}

fn unavailable(status: Status) -> KeyError {
    KeyError::Unavailable(Box::new(BadAnswer::from(status)))
}

#[async_trait]
impl KeyVault for RemoteVault {
    async fn sealing_key(&self, holder: &KeyHolder) -> Result<Option<SubjectKey>, KeyError> {
        let request =
            SealingKeyRequest { subject: bytes(holder.subject), purpose: holder.purpose.clone() };
        let answer = self.connection.service().sealing_key(request).await.map_err(unavailable)?;
        let Some(found) = answer.into_inner().key else { return Ok(None) };
        let id = uuid(&found.id).map_err(unavailable)?;
        Ok(Some(SubjectKey { id, key: SecretKey::from_bytes(&found.key)? }))
    }

    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError> {
        let request = OpeningKeyRequest { key_id: bytes(key_id) };
        let answer = self.connection.service().opening_key(request).await.map_err(unavailable)?;
        answer.into_inner().key.as_deref().map(SecretKey::from_bytes).transpose()
    }

    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), KeyError> {
        let request = DestroyKeysRequest {
            subjects: subjects.iter().copied().map(bytes).collect(),
            retained: retained.iter().map(|purpose| (*purpose).to_owned()).collect(),
        };
        self.connection.service().destroy_keys(request).await.map_err(unavailable)?;
        Ok(())
    }

    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, KeyError> {
        let request =
            IsDestroyedRequest { subject: bytes(holder.subject), purpose: holder.purpose.clone() };
        let answer = self.connection.service().is_destroyed(request).await;
        Ok(answer.map_err(unavailable)?.into_inner().destroyed)
    }

    async fn lookup_key(&self) -> Result<SecretKey, KeyError> {
        let answer = self.connection.service().lookup_key(LookupKeyRequest {}).await;
        SecretKey::from_bytes(&answer.map_err(unavailable)?.into_inner().key)
    }
}
