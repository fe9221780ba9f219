//! Encryption keys for personal data: one per data subject and purpose, stored beside the event
//! store and wrapped by a master key from the configuration.
//!
//! Values are sealed with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) and random 24-byte nonces, so
//! that any number of values can be sealed under one key without a counter.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::ZeroizeOnDrop;

use super::seams::{new_id, random_bytes};
use super::store::BoxError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why a key cannot be read or used. An *absent* key is not an error: its values read as erased.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key vault does not respond.
    #[error("the key vault is unavailable")]
    Unavailable(#[source] BoxError),
    /// The keys were wrapped with another master key.
    #[error(
        "the master key does not open this store's keys; start with the master key the store was created with"
    )]
    WrongMasterKey,
    /// The configured master key is not 32 bytes in base64 or hex.
    #[error("the master key must be 32 bytes, as 64 hexadecimal digits")]
    MalformedMasterKey,
    /// A sealed value is damaged or was copied from another event.
    #[error("cannot open a sealed value with its key")]
    DoesNotOpen,
    /// The operating system returned no randomness.
    #[error("cannot read randomness from the operating system")]
    NoRandomness,
}

/// A 32-byte secret key that seals values. Never printed; wiped when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretKey([u8; KEY_BYTES]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// Generates a random key.
    pub fn generate() -> Result<Self, KeyError> {
        random_bytes().map(Self).map_err(|_| KeyError::NoRandomness)
    }

    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyError::MalformedMasterKey)?;
        Ok(Self(bytes))
    }

    /// Returns the key as 64 hexadecimal digits, for a key file.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Restores a key from the 32 bytes that [`Self::to_bytes`] returned.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::DoesNotOpen)
    }

    /// Returns the 32 bytes, for authorised recipients of the key. The copy is wiped when dropped.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; KEY_BYTES]> {
        zeroize::Zeroizing::new(self.0)
    }

    /// Seals bytes. Returns nonce, ciphertext and tag. Opening requires the same `context`.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let nonce: [u8; NONCE_BYTES] = random_bytes().map_err(|_| KeyError::NoRandomness)?;
        let payload = Payload { msg: plain, aad: context };
        let sealed = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| KeyError::DoesNotOpen)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens bytes that [`Self::seal`] sealed with the same context.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or(KeyError::DoesNotOpen)?;
        let payload = Payload { msg: sealed, aad: context };
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| KeyError::DoesNotOpen)
    }

    /// Seals another key with this one, for storage.
    pub fn wrap(&self, key: &Self, context: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.seal(&key.0, context)
    }

    /// Opens a key that [`Self::wrap`] sealed with the same context.
    pub fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Self, KeyError> {
        let bytes = zeroize::Zeroizing::new(self.open(wrapped, context)?);
        Self::from_bytes(&bytes)
    }

    /// Returns the [`KeyVault::lookup_key`] of a vault whose keys this key wraps.
    pub fn lookup_key(&self) -> Self {
        self.derive(LOOKUP)
    }

    /// Derives another key for a purpose. Only holders of this key can compute it.
    pub fn derive(&self, purpose: &str) -> Self {
        Self(self.digest("bascule derived key", purpose))
    }

    /// Returns the HMAC-SHA256 of a text under this key and a purpose: equal texts have equal
    /// digests, and without the key no text can be guessed by trial. Used to look up records by
    /// personal data.
    pub fn digest(&self, purpose: &str, text: &str) -> [u8; 32] {
        // HMAC takes keys of any length, so this cannot fail; an empty digest would still be safe.
        let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0) else {
            return [0; 32];
        };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The key of one data subject for one purpose.
#[derive(Debug, Clone)]
pub struct SubjectKey {
    /// The key's id in sealed values.
    pub id: Uuid,
    /// The key.
    pub key: SecretKey,
}

/// A data subject and a purpose. The purpose is a module's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyHolder {
    /// The data subject.
    pub subject: Uuid,
    /// The module that needs the data.
    pub purpose: String,
}

/// Stores the keys.
#[async_trait]
pub trait KeyVault: Send + Sync + 'static {
    /// Returns the key that seals a subject's data for a purpose and creates it if there is none.
    /// The key is durable before this returns. Returns `None` if the key was destroyed: a destroyed
    /// key is never created again.
    async fn sealing_key(&self, holder: &KeyHolder) -> Result<Option<SubjectKey>, KeyError>;

    /// Returns the key of this id, `None` if it was destroyed.
    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError>;

    /// Destroys the keys of subjects permanently, for every purpose except the retained ones. When
    /// this returns, the keys are gone from the vault; backups may still hold them.
    ///
    /// Repeating the call changes nothing; a purpose that an earlier call did not retain cannot be
    /// retained later.
    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), KeyError>;

    /// Returns whether the key of this holder was destroyed or must never be created.
    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, KeyError>;

    /// Returns the key of the digests used to look up requests and personal data. All replicas that
    /// use this vault's event store share it.
    async fn lookup_key(&self) -> Result<SecretKey, KeyError>;
}

/// The purpose that the lookup key is derived for.
const LOOKUP: &str = "lookup";

/// An in-memory key vault, for tests.
#[derive(Debug)]
pub struct MemoryKeyVault {
    keys: Mutex<MemoryKeys>,
    lookup_key: SecretKey,
}

#[derive(Debug, Default)]
struct MemoryKeys {
    keys: HashMap<KeyHolder, SubjectKey>,
    /// The subjects whose keys were destroyed, each with its retained purposes.
    erased: HashMap<Uuid, HashSet<String>>,
}

impl Default for MemoryKeyVault {
    fn default() -> Self {
        Self { keys: Mutex::default(), lookup_key: SecretKey([7; KEY_BYTES]) }
    }
}

impl MemoryKeyVault {
    fn lock(&self) -> MutexGuard<'_, MemoryKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_destroyed(erased: &HashMap<Uuid, HashSet<String>>, holder: &KeyHolder) -> bool {
    let retained = erased.get(&holder.subject);
    retained.is_some_and(|retained| !retained.contains(&holder.purpose))
}

#[async_trait]
impl KeyVault for MemoryKeyVault {
    async fn sealing_key(&self, holder: &KeyHolder) -> Result<Option<SubjectKey>, KeyError> {
        let new = SubjectKey { id: new_id(), key: SecretKey::generate()? };
        let mut vault = self.lock();
        if is_destroyed(&vault.erased, holder) {
            return Ok(None);
        }
        Ok(Some(vault.keys.entry(holder.clone()).or_insert(new).clone()))
    }

    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError> {
        let vault = self.lock();
        Ok(vault.keys.values().find(|key| key.id == key_id).map(|key| key.key.clone()))
    }

    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), KeyError> {
        let MemoryKeys { keys, erased } = &mut *self.lock();
        let purposes = || retained.iter().map(|purpose| (*purpose).to_owned()).collect();
        for subject in subjects {
            let kept = erased.entry(*subject).or_insert_with(purposes);
            kept.retain(|purpose| retained.contains(&purpose.as_str()));
        }
        keys.retain(|holder, _| !is_destroyed(erased, holder));
        Ok(())
    }

    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, KeyError> {
        Ok(is_destroyed(&self.lock().erased, holder))
    }

    async fn lookup_key(&self) -> Result<SecretKey, KeyError> {
        Ok(self.lookup_key.clone())
    }
}

/// A sealed value as stored in an event: format version, key id, sealed bytes.
///
/// Text: `v1.<base64url of 16 bytes key id, 24 bytes nonce, ciphertext and tag>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// The id of the key that opens it.
    pub key_id: Uuid,
    /// Nonce, ciphertext and tag.
    pub sealed: Vec<u8>,
}

const SEALED_PREFIX: &str = "v1.";

impl SealedValue {
    /// Seals a value, bound to one event.
    pub fn seal(key: &SubjectKey, plain: &[u8], event_id: Uuid) -> Result<Self, KeyError> {
        Ok(Self { key_id: key.id, sealed: key.key.seal(plain, event_id.as_bytes())? })
    }

    /// Returns the stored text.
    pub fn to_text(&self) -> String {
        let bytes = [self.key_id.as_bytes().as_slice(), &self.sealed].concat();
        format!("{SEALED_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Parses the stored text.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let bytes = text
            .strip_prefix(SEALED_PREFIX)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(KeyError::DoesNotOpen)?;
        let (key_id, sealed) = bytes.split_first_chunk::<16>().ok_or(KeyError::DoesNotOpen)?;
        Ok(Self { key_id: Uuid::from_bytes(*key_id), sealed: sealed.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_in_its_event() {
        let key = SubjectKey { id: new_id(), key: SecretKey::generate().unwrap() };
        let other = SecretKey::generate().unwrap();
        let event = new_id();
        let sealed = SealedValue::seal(&key, b"Ada", event).unwrap();
        let stored = SealedValue::from_text(&sealed.to_text()).unwrap();
        assert_eq!(stored, sealed);
        assert_eq!(key.key.open(&stored.sealed, event.as_bytes()).unwrap(), b"Ada");
        assert!(other.open(&stored.sealed, event.as_bytes()).is_err());
        assert!(key.key.open(&stored.sealed, new_id().as_bytes()).is_err());
    }

    #[test]
    fn digests_depend_on_key_purpose_and_text() {
        let key = SecretKey::generate().unwrap();
        assert_eq!(key.digest("email", "a@b.fr"), key.digest("email", "a@b.fr"));
        assert_ne!(key.digest("email", "a@b.fr"), key.digest("phone", "a@b.fr"));
        assert_ne!(key.digest("email", "a@b.fr"), key.digest("email", "a@c.fr"));
    }

    #[test]
    fn a_secret_key_never_shows_itself() {
        let key = SecretKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(&key.to_hex()[..8]));
    }
}
