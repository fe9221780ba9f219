//! Configuration: defaults, then `bascule.toml`, then the environment (`BASCULE_…`, nested names
//! with two underscores), then the command line.

mod sources;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use figment::Figment;
use figment::providers::Serialized;
use kernel::admission::Admission;
use kernel::cache::CacheOptions;
use kernel::credentials::{ConnectionUrl, Secret};
use kernel::lease::{LONGEST, RuntimeOptions};
use module::AnyModule;
use serde::{Deserialize, Serialize};
use web_api::HostName;
use wire::WireSettings;

pub use self::sources::Section;
use self::sources::{Sources, explained, section, without_null};

/// Returns whether a store belongs to another process and is reached over the network.
pub fn is_far(store_url: &str) -> bool {
    store_url.starts_with("esdb://")
}

/// The configuration of the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// URL of the event store: `sqlite:<path>`, `postgres://…` or `esdb://…`. The modules' tables are
    /// beside it unless [`Self::modules`] sets another database.
    pub store: ConnectionUrl,
    /// Address of the public API.
    pub listen: SocketAddr,
    /// Address of the second listener, which serves probes, metrics and `/admin`.
    pub admin_listen: SocketAddr,
    /// Host names under which clients reach the listeners, besides `localhost` and their addresses, and
    /// whose pages may send requests, such as `shop.example` behind a proxy. If empty, a listener that
    /// other machines can reach accepts any host name.
    pub allowed_hosts: Vec<HostName>,
    /// Token for `/admin/…`. Without one, `/admin/…` is available only on a loopback address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Secret>,
    /// The modules to run; all if empty.
    pub run: Vec<String>,
    /// Settings of single modules, by name.
    pub modules: BTreeMap<String, ModuleSettings>,
    /// The master key that wraps the keys of personal data, as 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Secret>,
    /// File with the master key, created at the first start. Default: beside an embedded store,
    /// otherwise `./data/bascule.key`. All replicas need the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
    /// Settings of logging.
    pub log: Log,
    /// In-memory cache: `aggregates` is the maximum number of recently used aggregates; 0 disables it.
    pub cache: CacheOptions,
    /// When new work is refused.
    pub admission: AdmissionSettings,
    /// Settings of this process as one of several replicas on the same store.
    pub replica: Replica,
    /// The endpoint for EventStoreDB clients.
    pub wire: WireSettings,
    /// The sections of the modules, by name. In the file they are at the top level, such as
    /// `[billing]`.
    #[serde(skip)]
    pub sections: BTreeMap<String, Section>,
}

/// Settings of one module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModuleSettings {
    /// Database of the module's tables; beside the event store if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<ConnectionUrl>,
    /// URL of the service that runs the module, such as `http://payments:8080`. If set, the module does
    /// not run in this process, and its requests are forwarded to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<ConnectionUrl>,
    /// Whether the module waits for a hand-over before it runs policies and reactors: for a service
    /// that starts while a system still runs the module. Default: true if the store is reached over the
    /// network, because the process that owns the store runs the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits_charge: Option<bool>,
}

/// Settings of this process as one of several replicas on the same store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replica {
    /// Name of the replica; default: the host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Lifetime of the leases of its subscriptions, in milliseconds (100–600 000): if the replica is
    /// silent for longer, another replica takes its subscriptions over.
    pub lease_ms: u32,
}

impl Default for Replica {
    fn default() -> Self {
        Self { name: None, lease_ms: 10_000 }
    }
}

impl Replica {
    /// Returns the options with which this process runs its subscriptions.
    pub fn runtime(&self) -> RuntimeOptions {
        let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = self.name.clone().or_else(machine).unwrap_or_default();
        let replica = format!("{}:{}", name.trim(), std::process::id());
        // Shorter leases would expire between two renewals on a busy machine.
        let lease_ttl = Duration::from_millis(self.lease_ms.max(100).into()).min(LONGEST);
        RuntimeOptions { replica, lease_ttl }
    }
}

/// Admission control: refuses new work while started work waits too long.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionSettings {
    /// Maximum time in milliseconds that an event may wait for a policy. While an event waits longer,
    /// new orders are refused with 503. 0 disables the limit.
    pub max_lag_ms: u32,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { max_lag_ms: 5_000 }
    }
}

impl AdmissionSettings {
    /// Returns the admission control of this process.
    pub fn gate(self) -> Admission {
        Admission::new(Duration::from_millis(self.max_lag_ms.into()))
    }
}

/// Settings of logging.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Filter of the log, in `tracing` syntax, such as `info,kernel=debug`.
    pub filter: String,
    /// Format of the log lines.
    pub format: LogFormat,
}

/// Format of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human-readable on a terminal, JSON otherwise.
    Auto,
    /// Human-readable.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            store: ConnectionUrl::new("sqlite:./data/bascule.db"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            allowed_hosts: Vec::new(),
            admin_token: None,
            run: Vec::new(),
            modules: BTreeMap::new(),
            master_key: None,
            master_key_file: None,
            log: Log {
                filter: "info,actix_server=warn,actix_http=off".to_owned(),
                format: LogFormat::Auto,
            },
            cache: CacheOptions::default(),
            admission: AdmissionSettings::default(),
            replica: Replica::default(),
            wire: WireSettings::default(),
            sections: BTreeMap::new(),
        }
    }
}

const UNREADABLE: &str = "the configuration is invalid";

/// Fails if a module is named as a key of the program: the module's section would hide it.
fn expect_own_sections(own: &Figment, modules: &[&str]) -> anyhow::Result<()> {
    for module in modules {
        anyhow::ensure!(
            !own.contains(module),
            "the binary was built with a module named {module}, which is a key of the configuration: \
             give the module another name"
        );
    }
    Ok(())
}

impl Configuration {
    /// Loads the configuration of a program with these modules. `overrides` are the options of the
    /// command line.
    pub fn load(
        file: Option<&Path>,
        overrides: &impl Serialize,
        modules: &[&dyn AnyModule],
    ) -> anyhow::Result<Self> {
        let names: Vec<&str> = modules.iter().map(|module| module.name()).collect();
        let sources = Sources::of(file)?;
        let own = Figment::from(Serialized::defaults(Self::default()));
        expect_own_sections(&own, &names)?;
        let own = sources.own_part(own, &names).merge(Serialized::defaults(overrides));
        let mut configuration: Self =
            own.extract().map_err(|error| explained(error, &names)).context(UNREADABLE)?;
        let sections = sources.whole();
        for module in modules {
            let section = section(&sections, *module).context(UNREADABLE)?;
            configuration.sections.insert(module.name().to_owned(), section);
        }
        // Read as a string: figment would parse a key of digits alone as a number and show it in the error.
        if let Ok(key) = std::env::var("BASCULE_MASTER_KEY") {
            configuration.master_key = Some(Secret::new(key));
        }
        if let Ok(token) = std::env::var("BASCULE_ADMIN_TOKEN") {
            configuration.admin_token = Some(Secret::new(token));
        }
        // Some orchestrators set an unset variable to the empty string.
        configuration.admin_token =
            configuration.admin_token.filter(|token| !token.reveal().is_empty());
        Ok(configuration)
    }

    /// Returns whether the event store belongs to another process and is reached over the network. Such
    /// a store keeps events and keys, but no tables of modules.
    pub fn is_store_far(&self) -> bool {
        is_far(self.store.reveal())
    }

    /// Returns whether a module runs in this process.
    pub fn runs(&self, module: &str) -> anyhow::Result<bool> {
        let is_named = self.run.iter().any(|one| one == module);
        let is_remote = self.modules.get(module).is_some_and(|module| module.remote.is_some());
        anyhow::ensure!(
            !(is_named && is_remote),
            "{module} is configured to run in this process (`run`, --modules) and in another ([modules.{module}] remote): remove one of the two"
        );
        Ok(!is_remote && (self.run.is_empty() || is_named))
    }

    /// Returns the URL of the database with a module's tables.
    pub fn database_url(&self, module: &str) -> anyhow::Result<String> {
        let set = self.modules.get(module).and_then(|settings| settings.database.clone());
        let set = set.map(|url| url.reveal().to_owned());
        let url = set.map_or_else(|| self.beside_the_store(module), |url| Ok(Some(url)))?;
        url.with_context(|| {
            format!(
                "a store that is reached over the network cannot hold the tables of {module}: \
                 set their database with --database or [modules.{module}] database"
            )
        })
    }

    /// Returns the URL for tables beside the store, or `None` if the store is reached over the network.
    pub fn beside_the_store(&self, name: &str) -> anyhow::Result<Option<String>> {
        if self.is_store_far() {
            return Ok(None);
        }
        Ok(Some(database::module_url(self.store.reveal(), name)?))
    }

    /// Returns whether a module waits for a hand-over before it runs policies and reactors.
    pub fn awaits_charge(&self, module: &str) -> bool {
        let set = self.modules.get(module).and_then(|settings| settings.awaits_charge);
        set.unwrap_or_else(|| self.is_store_far())
    }

    /// Returns the configuration as TOML. Its types do not serialize secrets.
    pub fn dump(&self) -> anyhow::Result<String> {
        let unshown = "cannot print the configuration";
        let mut dumped = toml::Table::try_from(self).context(unshown)?;
        for (name, section) in &self.sections {
            let section = toml::Table::try_from(without_null(&section.shown)).context(unshown)?;
            if !section.is_empty() {
                dumped.insert(name.clone(), section.into());
            }
        }
        toml::to_string_pretty(&dumped).context(unshown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_does_not_hide_a_key_of_the_program() {
        let own = Figment::from(Serialized::defaults(Configuration::default()));
        for key in ["log", "replica", "modules", "store"] {
            let refused = expect_own_sections(&own, &["orders", key]).unwrap_err().to_string();
            assert!(refused.contains(&format!("a module named {key},")), "{refused}");
        }
        expect_own_sections(&own, &["orders", "loyalty"]).unwrap();
    }
}
