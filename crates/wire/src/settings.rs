//! How the endpoint is configured: `[wire]`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::rights::Right;

/// What can be set for the endpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WireSettings {
    /// Where it listens, such as `127.0.0.1:2113`; nowhere when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// What it proves itself with. Without it connections are in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Who may connect, by name. When there are none, and only this machine can connect, everybody
    /// may read, and write streams that are not a module's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// PEM files, read when the endpoint starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// Its password as Argon2 makes of it, a PHC string: `$argon2id$v=19$m=…,t=…,p=…$…$…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    /// Its password itself, for development: taken only where nobody but this machine can connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// What it may do.
    pub rights: Vec<Right>,
}

impl WireSettings {
    /// The same without what is secret, to be shown.
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for account in shown.accounts.values_mut() {
            account.password = account.password.as_ref().map(|_| Secret::hidden());
            account.password_hash = account.password_hash.as_ref().map(|_| Secret::hidden());
        }
        shown
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn hidden() -> Self {
        Self("(hidden)".to_owned())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}
