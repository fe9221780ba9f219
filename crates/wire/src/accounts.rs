//! Who is calling: Basic credentials (RFC 7617) against the configured accounts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::event::StreamName;
use kernel::keys::SecretKey;
use kernel::seams::random_bytes;
use kernel::shared_text::SharedText;
use moka::sync::Cache;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

use crate::ownership::{Owner, Ownership};
use crate::refusal::Refusal;
use crate::rights::Right;
use crate::settings::WireSettings;

/// Who calls without credentials, where that is allowed.
const ANONYMOUS: &str = "anonymous";
/// For how long credentials that were right are taken without computing Argon2 again.
const REMEMBERED: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: u64 = 1_000;
/// Passwords that are checked at once: each takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;

/// Why the accounts cannot be used as they are configured.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Others can connect, and nobody is asked who they are.
    #[error(
        "the wire protocol would be open to everybody on {0}: add accounts under [wire.accounts], or listen on a loopback address"
    )]
    OpenToEverybody(SocketAddr),
    /// Others can connect, and passwords would travel in the clear.
    #[error(
        "the wire protocol on {0} needs TLS: set certificate and key under [wire.tls], or listen on a loopback address"
    )]
    InTheClear(SocketAddr),
    /// A password stands in the configuration as it is.
    #[error(
        "the account {0} has a `password`, which is for loopback addresses only: set its `password_hash`, made with Argon2, instead"
    )]
    PlainPassword(String),
    /// Neither password nor hash, or both.
    #[error("the account {0} needs either a `password_hash` or a `password`")]
    NoPassword(String),
    /// What should be a hash is none.
    #[error("the `password_hash` of the account {0} is not a PHC string of Argon2: {1}")]
    NotAHash(String, String),
    /// A name that cannot be sent.
    #[error(
        "`{0}` cannot be the name of an account: it must not be empty, nor have a colon or a control character in it"
    )]
    Name(String),
    /// A right to a module that there is not.
    #[error("the account {account} may write the module {module}, which there is not")]
    UnknownModule {
        /// The account.
        account: String,
        /// The module.
        module: String,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    NoRandomness,
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who it is, as events tell it.
    pub(crate) name: SharedText,
    rights: Arc<[Right]>,
}

impl Caller {
    pub(crate) fn may(&self, right: &Right) -> bool {
        self.rights.contains(right)
    }

    /// Whether events are given out with personal data open. A module opens what it may by itself: it
    /// has to know what was sealed.
    pub(crate) fn reads_open(&self) -> bool {
        self.may(&Right::PersonalData) && !self.is_module()
    }

    /// Whether it is a module of ours that lives elsewhere.
    fn is_module(&self) -> bool {
        self.rights.iter().any(|right| matches!(right, Right::Module(_)))
    }

    /// Refuses whoever is no module of ours.
    pub(crate) fn needs_any_module(&self) -> Result<(), Refusal> {
        if self.is_module() {
            return Ok(());
        }
        Err(Refusal::Forbidden("this needs the right module:<name>, of any module".to_owned()))
    }

    /// Refuses whoever has not this right.
    pub(crate) fn needs(&self, right: &Right) -> Result<(), Refusal> {
        if self.may(right) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!("this needs the right {right}")))
    }

    /// Refuses whoever may not write a stream.
    pub(crate) fn needs_to_write(
        &self,
        stream: &StreamName,
        ownership: &Ownership,
    ) -> Result<(), Refusal> {
        match ownership.of(stream) {
            Owner::Module(module) => self.needs(&Right::Module(module.to_owned())),
            Owner::System => self.needs(&Right::System),
            Owner::Free => self.needs(&Right::Append),
            Owner::Metadata(described) => match ownership.of(&described) {
                Owner::Module(module) => Err(Refusal::Forbidden(format!(
                    "stream {described} is of the module {module}: it is never truncated and has no metadata"
                ))),
                Owner::Metadata(_) => {
                    Err(Refusal::Forbidden("metadata has no metadata".to_owned()))
                }
                Owner::System => self.needs(&Right::System),
                Owner::Free => self.needs(&Right::Append),
            },
        }
    }
}

enum Password {
    Plain([u8; 32]),
    Hashed(Arc<str>),
}

struct Account {
    caller: Caller,
    password: Password,
}

/// Who may call.
pub(crate) struct Accounts {
    /// None: everybody is anonymous.
    accounts: BTreeMap<String, Account>,
    anonymous: Caller,
    /// Nobody's: what is computed for a name that nobody has takes as long as for another.
    decoy: Option<Arc<str>>,
    /// Digests credentials, so that none stays in memory.
    key: SecretKey,
    remembered: Cache<[u8; 32], Caller>,
    checks: Arc<Semaphore>,
}

impl Accounts {
    /// The configured accounts, for a listener at an address.
    pub(crate) fn new(
        settings: &WireSettings,
        address: SocketAddr,
        ownership: &Ownership,
    ) -> Result<Self, AccountsError> {
        let local = address.ip().is_loopback();
        if !local && settings.accounts.is_empty() {
            return Err(AccountsError::OpenToEverybody(address));
        }
        if !local && settings.tls.is_none() {
            return Err(AccountsError::InTheClear(address));
        }
        let key = SecretKey::generate().map_err(|_| AccountsError::NoRandomness)?;
        let mut accounts = BTreeMap::new();
        for (name, account) in &settings.accounts {
            if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
                return Err(AccountsError::Name(name.clone()));
            }
            for right in &account.rights {
                if let Right::Module(module) = right
                    && !ownership.knows_module(module)
                {
                    let (account, module) = (name.clone(), module.clone());
                    return Err(AccountsError::UnknownModule { account, module });
                }
            }
            let password = match (&account.password, &account.password_hash) {
                (Some(_), None) if !local => {
                    return Err(AccountsError::PlainPassword(name.clone()));
                }
                (Some(password), None) => Password::Plain(key.digest(PASSWORD, password.reveal())),
                (None, Some(hash)) => {
                    let hash = hash.reveal();
                    match PasswordHash::new(hash) {
                        Ok(parsed) if parsed.algorithm.as_str().starts_with("argon2") => {}
                        Ok(parsed) => {
                            let found = format!("it is of {}", parsed.algorithm);
                            return Err(AccountsError::NotAHash(name.clone(), found));
                        }
                        Err(error) => {
                            return Err(AccountsError::NotAHash(name.clone(), error.to_string()));
                        }
                    }
                    Password::Hashed(hash.into())
                }
                _ => return Err(AccountsError::NoPassword(name.clone())),
            };
            let caller =
                Caller { name: name.as_str().into(), rights: account.rights.as_slice().into() };
            accounts.insert(name.clone(), Account { caller, password });
        }
        let hashed = |account: &Account| matches!(account.password, Password::Hashed(_));
        let decoy = if accounts.values().any(hashed) { Some(decoy()?) } else { None };
        let rights = [Right::Read, Right::Append].into();
        Ok(Self {
            accounts,
            anonymous: Caller { name: ANONYMOUS.into(), rights },
            decoy,
            key,
            remembered: Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        })
    }

    /// Who sent this.
    pub(crate) async fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Refusal> {
        if self.accounts.is_empty() {
            // Clients send their default credentials even where nobody asks for them.
            return Ok(self.anonymous.clone());
        }
        let header = metadata
            .get("authorization")
            .ok_or(Refusal::Unauthenticated("send the credentials of an account"))?;
        let credentials = basic(header.as_bytes())
            .ok_or(Refusal::Unauthenticated("the credentials must be Basic ones (RFC 7617)"))?;
        let digest = self.key.digest("wire credentials", &credentials);
        if let Some(caller) = self.remembered.get(&digest) {
            return Ok(caller);
        }
        let wrong = Refusal::Unauthenticated("no account has this name and password");
        let Some((name, password)) = credentials.split_once(':') else { return Err(wrong) };
        let account = self.accounts.get(name);
        let right = match account.map(|account| &account.password) {
            Some(Password::Plain(expected)) => {
                self.key.digest(PASSWORD, password).ct_eq(expected).into()
            }
            Some(Password::Hashed(hash)) => self.verify(password, Arc::clone(hash)).await,
            None => {
                if let Some(decoy) = &self.decoy {
                    self.verify(password, Arc::clone(decoy)).await;
                }
                false
            }
        };
        match account {
            Some(account) if right => {
                self.remembered.insert(digest, account.caller.clone());
                Ok(account.caller.clone())
            }
            _ => Err(wrong),
        }
    }

    async fn verify(&self, password: &str, hash: Arc<str>) -> bool {
        let Ok(_turn) = Arc::clone(&self.checks).acquire_owned().await else { return false };
        let password = password.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()
        });
        verified.await.unwrap_or(false)
    }
}

const PASSWORD: &str = "wire password";

/// A hash of a password that nobody knows.
fn decoy() -> Result<Arc<str>, AccountsError> {
    let password: [u8; 16] = random_bytes().map_err(|_| AccountsError::NoRandomness)?;
    let hash =
        Argon2::default().hash_password(&password).map_err(|_| AccountsError::NoRandomness)?;
    Ok(hash.to_string().into())
}

/// `<name>:<password>` of an `Authorization` header; the scheme in any case (RFC 9110 §11.1).
fn basic(header: &[u8]) -> Option<String> {
    let (scheme, credentials) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    String::from_utf8(STANDARD.decode(credentials.trim_ascii()).ok()?).ok()
}
