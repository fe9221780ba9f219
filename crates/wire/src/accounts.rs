//! Authentication: checks Basic credentials (RFC 7617) against the configured accounts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
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
use tonic::codegen::http::HeaderMap;

use crate::capacity::Share;
use crate::connections::Peer;
use crate::ownership::{Owner, Ownership};
use crate::refusal::Refusal;
use crate::rights::Right;
use crate::settings::WireSettings;

/// The name recorded for a caller without credentials, where anonymous calls are allowed.
const ANONYMOUS: &str = "anonymous";
/// How long wrong credentials are refused from the cache, without computing Argon2 again, and the
/// maximum number of cached ones. Right credentials stay cached until the next start.
const WRONG_REMEMBERED: Duration = Duration::from_secs(60);
const MOST_WRONG_REMEMBERED: u64 = 10_000;
/// Maximum number of passwords checked concurrently; each check takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// Maximum number of password checks of one account that may queue; they run one after another.
const MOST_WAITING: usize = 64;

/// Why the configured accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Other machines can connect, and no authentication is configured.
    #[error(
        "the wire protocol on {0} would accept anyone: add accounts under [wire.accounts] and a certificate under [wire.tls], or listen on a loopback address"
    )]
    OpenToEverybody(SocketAddr),
    /// Other machines can connect, and passwords would travel unencrypted.
    #[error(
        "the wire protocol on {0} needs TLS: set certificate and key under [wire.tls], or listen on a loopback address"
    )]
    InTheClear(SocketAddr),
    /// The configuration contains a password in plain text.
    #[error(
        "the account {0} has a `password`, which is for loopback addresses only: set its `password_hash`, made with Argon2, instead"
    )]
    PlainPassword(String),
    /// The account has neither a password nor a hash, or both.
    #[error("the account {0} needs either a `password_hash` or a `password`")]
    NoPassword(String),
    /// The `password_hash` is not a hash of Argon2.
    #[error("the `password_hash` of the account {0} is not a PHC string of Argon2: {1}")]
    NotAHash(String, String),
    /// The account's name cannot be sent in credentials.
    #[error(
        "`{0}` cannot be the name of an account: a name must not be empty and must not contain a colon or a control character"
    )]
    Name(String),
    /// The account has a right for a module that does not exist.
    #[error(
        "the account {account} has the right module:{module}, but there is no module {module}: correct the name"
    )]
    UnknownModule {
        /// The account's name.
        account: String,
        /// The module's name.
        module: String,
    },
    /// The operating system provided no randomness.
    #[error("the operating system provides no randomness")]
    NoRandomness,
}

/// An authenticated (or anonymous) caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The account's name, as recorded in the events it writes.
    pub(crate) name: SharedText,
    rights: Arc<[Right]>,
    /// The account's share of the memory for requests.
    pub(crate) share: Share,
}

impl Caller {
    /// A caller with certain rights, for tests.
    #[cfg(test)]
    pub(crate) fn of(name: &str, rights: &[Right]) -> Self {
        Self { name: name.into(), rights: rights.into(), share: Share::default() }
    }

    pub(crate) fn may(&self, right: &Right) -> bool {
        self.rights.contains(right)
    }

    /// Returns whether events are returned to it with personal data decrypted. A module decrypts what
    /// it may itself: it has to know which values were sealed.
    pub(crate) fn reads_open(&self) -> bool {
        self.may(&Right::PersonalData) && !self.is_module()
    }

    /// Returns whether it is a remote module, which writes that module's streams.
    pub(crate) fn is_module(&self) -> bool {
        self.rights.iter().any(|right| matches!(right, Right::Module(_)))
    }

    /// Refuses a caller that is not a remote module.
    pub(crate) fn needs_any_module(&self) -> Result<(), Refusal> {
        if self.is_module() {
            return Ok(());
        }
        Err(Refusal::Forbidden(
            "this call requires the right module:<name> for some module".to_owned(),
        ))
    }

    /// Returns whether the caller may write any stream at all.
    pub(crate) fn writes(&self) -> bool {
        self.may(&Right::Append) || self.may(&Right::System) || self.is_module()
    }

    /// Refuses a caller without this right.
    pub(crate) fn needs(&self, right: &Right) -> Result<(), Refusal> {
        if self.may(right) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!("this call requires the right {right}")))
    }

    /// Refuses a caller that may not write the stream.
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
                    "stream {described} belongs to the module {module}: it cannot be truncated and has no metadata"
                ))),
                Owner::Metadata(_) => Err(Refusal::Forbidden(
                    "a stream of metadata cannot have metadata itself".to_owned(),
                )),
                Owner::System => self.needs(&Right::System),
                Owner::Free => self.needs(&Right::Append),
            },
        }
    }
}

enum Password {
    Plain([u8; 32]),
    Hashed(Hashed),
}

/// A hashed password, which takes long to check. A flood of guesses for one account delays the other
/// accounts by one check at most.
#[derive(Clone)]
struct Hashed {
    hash: Arc<str>,
    /// The digest of the credentials that were found right.
    right: Arc<OnceLock<[u8; 32]>>,
    /// Permits to queue for a check.
    waiting: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Hashed {
    fn new(hash: Arc<str>) -> Self {
        let (waiting, turn) = (Semaphore::new(MOST_WAITING), Semaphore::new(1));
        Self { hash, right: Arc::default(), waiting: Arc::new(waiting), turn: Arc::new(turn) }
    }
}

struct Account {
    caller: Caller,
    password: Password,
}

/// The accounts that may call.
pub(crate) struct Accounts {
    /// `None` if anonymous callers are accepted.
    accounts: BTreeMap<String, Account>,
    anonymous: Caller,
    /// A hash that belongs to no account: checking an unknown name takes as long as a known one.
    decoy: Option<Hashed>,
    /// The key for digests of credentials, so that no credentials stay in memory.
    key: SecretKey,
    /// Digests of wrong credentials.
    wrong: Cache<[u8; 32], ()>,
    checks: Arc<Semaphore>,
}

impl Accounts {
    /// Returns the configured accounts, for a listener at an address.
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
                            let found = format!("its algorithm is {}", parsed.algorithm);
                            return Err(AccountsError::NotAHash(name.clone(), found));
                        }
                        Err(error) => {
                            return Err(AccountsError::NotAHash(name.clone(), error.to_string()));
                        }
                    }
                    Password::Hashed(Hashed::new(hash.into()))
                }
                _ => return Err(AccountsError::NoPassword(name.clone())),
            };
            let caller = Caller {
                name: name.as_str().into(),
                rights: account.rights.as_slice().into(),
                share: Share::default(),
            };
            accounts.insert(name.clone(), Account { caller, password });
        }
        let hashed = |account: &Account| matches!(account.password, Password::Hashed(_));
        let decoy = if accounts.values().any(hashed) { Some(Hashed::new(decoy()?)) } else { None };
        let rights = [Right::Read, Right::Append].into();
        Ok(Self {
            accounts,
            anonymous: Caller { name: ANONYMOUS.into(), rights, share: Share::default() },
            decoy,
            key,
            wrong: Cache::builder()
                .max_capacity(MOST_WRONG_REMEMBERED)
                .time_to_live(WRONG_REMEMBERED)
                .build(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        })
    }

    /// Returns the caller of a request that came on a connection.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Caller, Refusal> {
        if self.accounts.is_empty() {
            // Clients send their default credentials even where none are required.
            return Ok(self.anonymous.clone());
        }
        let header = headers.get("authorization").ok_or(Refusal::Unauthenticated(
            "authentication required: send the credentials of an account",
        ))?;
        let credentials = basic(header.as_bytes()).ok_or(Refusal::Unauthenticated(
            "the `authorization` header must be Basic credentials (RFC 7617)",
        ))?;
        let wrong = || Refusal::Unauthenticated("wrong account name or password");
        let (name, password) = credentials.split_once(':').ok_or_else(wrong)?;
        let account = self.accounts.get(name);
        let is_right = match account.map(|account| &account.password) {
            Some(Password::Plain(expected)) => {
                self.key.digest(PASSWORD, password).ct_eq(expected).into()
            }
            Some(Password::Hashed(hashed)) => {
                let digest = self.key.digest("wire credentials", &credentials);
                self.verify(digest, password, hashed, peer).await?
            }
            None => match &self.decoy {
                Some(decoy) => {
                    let digest = self.key.digest("wire credentials", &credentials);
                    self.verify(digest, password, decoy, peer).await?
                }
                None => false,
            },
        };
        match account {
            Some(account) if is_right => Ok(account.caller.clone()),
            _ => Err(wrong()),
        }
    }

    /// Returns whether the credentials are known to be right (`true`) or wrong (`false`).
    fn known(&self, digest: &[u8; 32], hashed: &Hashed) -> Option<bool> {
        let is_right = hashed.right.get().is_some_and(|right| right.ct_eq(digest).into());
        if is_right { Some(true) } else { self.wrong.get(digest).map(|()| false) }
    }

    /// Returns whether a password is right. Checks of one connection run one after another, and so do
    /// those of one account; at most two run concurrently in all.
    async fn verify(
        &self,
        digest: [u8; 32],
        password: &str,
        hashed: &Hashed,
        peer: Option<&Peer>,
    ) -> Result<bool, Refusal> {
        if let Some(known) = self.known(&digest, hashed) {
            return Ok(known);
        }
        let alone = match peer {
            Some(peer) => Some(peer.checking().await),
            None => None,
        };
        if let Some(known) = self.known(&digest, hashed) {
            return Ok(known);
        }
        let busy = || Refusal::Busy("too many password checks are queued; retry later");
        let place = Arc::clone(&hashed.waiting).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&hashed.turn).acquire_owned().await.map_err(|_| busy())?;
        // The waiting request is often one of many of one client, and another one was checked
        // meanwhile.
        if let Some(known) = self.known(&digest, hashed) {
            return Ok(known);
        }
        let check = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| busy())?;
        let (password, hashed, wrong) = (password.to_owned(), hashed.clone(), self.wrong.clone());
        let verified = tokio::task::spawn_blocking(move || {
            // A started check runs to its end even if its request is cancelled: only then may the next
            // begin.
            let _taken = (alone, place, turn, check);
            let is_right =
                Argon2::default().verify_password(password.as_bytes(), &*hashed.hash).is_ok();
            if is_right {
                hashed.right.get_or_init(|| digest);
            } else {
                wrong.insert(digest, ());
            }
            is_right
        });
        Ok(verified.await.unwrap_or(false))
    }
}

const PASSWORD: &str = "wire password";

/// Returns a hash of a random password.
fn decoy() -> Result<Arc<str>, AccountsError> {
    let password: [u8; 16] = random_bytes().map_err(|_| AccountsError::NoRandomness)?;
    let hash =
        Argon2::default().hash_password(&password).map_err(|_| AccountsError::NoRandomness)?;
    Ok(hash.to_string().into())
}

/// Returns `<name>:<password>` of an `Authorization` header; the scheme is case-insensitive (RFC 9110
/// §11.1).
fn basic(header: &[u8]) -> Option<String> {
    let (scheme, credentials) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    String::from_utf8(STANDARD.decode(credentials.trim_ascii()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;
    use crate::settings::{AccountSettings, Secret};

    type Outcome = Result<Caller, Refusal>;

    fn accounts() -> Accounts {
        let account = |password: &[u8]| AccountSettings {
            password: None,
            password_hash: Some(Secret::new(
                Argon2::default().hash_password(password).unwrap().to_string(),
            )),
            rights: vec![Right::Read],
        };
        let accounts = BTreeMap::from([
            ("ada".to_owned(), account(b"a")),
            ("grace".to_owned(), account(b"g")),
        ]);
        let settings = WireSettings { accounts, ..WireSettings::default() };
        Accounts::new(&settings, "127.0.0.1:1".parse().unwrap(), &Ownership::default()).unwrap()
    }

    /// Starts a request of an account and polls it as far as it comes without waiting.
    fn attempt<'a>(
        accounts: &'a Accounts,
        name: &str,
        password: &str,
    ) -> (BoxFuture<'a, Outcome>, Option<Outcome>) {
        let mut headers = HeaderMap::new();
        let credentials = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        headers.insert("authorization", credentials.parse().unwrap());
        let mut attempt = async move { accounts.caller(&headers, None).await }.boxed();
        let outcome = (&mut attempt).now_or_never();
        (attempt, outcome)
    }

    #[tokio::test]
    async fn who_goes_away_is_counted_until_the_check_is_done() {
        let accounts = accounts();
        for (name, left) in [("ada", 1), ("grace", 0)] {
            let (gone, outcome) = attempt(&accounts, name, "wrong");
            assert!(outcome.is_none());
            drop(gone);
            assert_eq!(accounts.checks.available_permits(), left);
        }
        // The check runs to its end, and its result is cached.
        let _all = accounts.checks.acquire_many(CHECKS_AT_ONCE as u32).await.unwrap();
        let (_, outcome) = attempt(&accounts, "ada", "wrong");
        assert!(matches!(outcome, Some(Err(Refusal::Unauthenticated(_)))));
    }

    #[tokio::test]
    async fn a_flood_of_guesses_for_one_account_keeps_no_other_one_waiting() {
        let accounts = accounts();
        let mut guesses = Vec::new();
        for guess in 0..MOST_WAITING {
            let (waiting, outcome) = attempt(&accounts, "ada", &format!("guess {guess}"));
            assert!(outcome.is_none());
            guesses.push(waiting);
        }
        let (_, outcome) = attempt(&accounts, "ada", "one more");
        assert!(matches!(outcome, Some(Err(Refusal::Busy(_)))));
        // No queued check goes on after its request was cancelled.
        let (waiting, _) = attempt(&accounts, "grace", "g");
        assert_eq!(waiting.await.unwrap().name, "grace");
    }

    #[tokio::test]
    async fn the_same_credentials_are_checked_once() {
        let accounts = accounts();
        for (password, is_right) in [("a", true), ("wrong", false)] {
            let (first, _) = attempt(&accounts, "ada", password);
            assert_eq!(first.await.is_ok(), is_right);
        }
        accounts.checks.close();
        for (password, is_right) in [("a", true), ("wrong", false)] {
            let (_, outcome) = attempt(&accounts, "ada", password);
            assert_eq!(outcome.unwrap().is_ok(), is_right);
        }
        let (_, outcome) = attempt(&accounts, "ada", "another");
        assert!(matches!(outcome, Some(Err(Refusal::Busy(_)))));
    }
}
