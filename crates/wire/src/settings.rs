//! How the endpoint is configured: `[wire]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use kernel::credentials::Secret;
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
