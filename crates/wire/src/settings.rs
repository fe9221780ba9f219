//! Configuration of the endpoint: `[wire]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use kernel::credentials::Secret;
use serde::{Deserialize, Serialize};

use crate::rights::Right;

/// The settings of the endpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WireSettings {
    /// The listening address, such as `127.0.0.1:2113`; the endpoint is off if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The server's certificate and key. Without them connections are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The accounts, by name. Without any, on a loopback address only, everyone may read, and write
    /// streams that do not belong to a module.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// TLS files in PEM format, read when the endpoint starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// The Argon2 hash of its password, a PHC string: `$argon2id$v=19$m=…,t=…,p=…$…$…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    /// Its password in plain text, for development: accepted on loopback addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Its rights.
    pub rights: Vec<Right>,
}
