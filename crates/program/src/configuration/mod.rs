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
use self::sources::{Sources, section, without_null};

/// Returns whether a store is another process's, reached over the network.
pub fn is_far(store_url: &str) -> bool {
    store_url.starts_with("esdb://")
}

/// Everything that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Where the events are: `sqlite:<path>`, or `postgres://…`. The modules' tables are beside them
    /// unless [`Self::modules`] says otherwise.
    pub store: ConnectionUrl,
    /// Where the public API listens.
    pub listen: SocketAddr,
    /// Where probes and metrics are served.
    pub admin_listen: SocketAddr,
    /// Host names under which the listeners are reached besides `localhost` and their addresses, and
    /// whose pages may send requests: such as `shop.example` behind a proxy. A listener that others
    /// can connect to answers to any name when there are none.
    pub allowed_hosts: Vec<HostName>,
    /// What opens `/admin/…` there. Without one nothing does, unless only this machine can connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Secret>,
    /// The modules to run; all when empty.
    pub run: Vec<String>,
    /// What is set for single modules, by name.
    pub modules: BTreeMap<String, ModuleSettings>,
    /// The master key that wraps the keys of personal data, as 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Secret>,
    /// The file the master key is in, made at the first start. By default beside an embedded store,
    /// `./data/bascule.key` otherwise: replicas must be given the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
    /// How the program logs.
    pub log: Log,
    /// What is kept in memory: under `aggregates`, how many recently used ones. 0 turns it off.
    pub cache: CacheOptions,
    /// When nothing new is begun.
    pub admission: AdmissionSettings,
    /// This process among others on the same store.
    pub replica: Replica,
    /// The store for clients of EventStoreDB.
    pub wire: WireSettings,
    /// The sections of the modules, by name. In the file they stand beside the fields above:
    /// `[billing]`.
    #[serde(skip)]
    pub sections: BTreeMap<String, Section>,
}

/// What can be set for one module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModuleSettings {
    /// Where its own tables are, when not beside the event store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<ConnectionUrl>,
    /// The service that it runs in, such as `http://payments:8080`. It does not run here then, and
    /// requests to it are forwarded there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<ConnectionUrl>,
    /// Whether it waits to be handed over before it runs policies and reactors: for a service that
    /// begins beside the system that runs the module. Unless set it does on a store that is reached
    /// over the network: whoever has that store runs the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits_charge: Option<bool>,
}

/// This process among others on the same store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replica {
    /// What people know it by; the machine's name when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// After how many milliseconds of its silence another takes its subscriptions over: 100 at least,
    /// 600 000 at most.
    pub lease_ms: u32,
}

impl Default for Replica {
    fn default() -> Self {
        Self { name: None, lease_ms: 10_000 }
    }
}

impl Replica {
    /// How this process runs its subscriptions.
    pub fn runtime(&self) -> RuntimeOptions {
        let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = self.name.clone().or_else(machine).unwrap_or_default();
        let replica = format!("{}:{}", name.trim(), std::process::id());
        // Shorter ones would expire between two renewals of a busy machine.
        let lease_ttl = Duration::from_millis(self.lease_ms.max(100).into()).min(LONGEST);
        RuntimeOptions { replica, lease_ttl }
    }
}

/// When nothing new is begun: while what was begun waits too long for its turn.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionSettings {
    /// How many milliseconds an event may wait until a policy turns to it. While one waits longer, orders
    /// are refused with 503. 0: everything is admitted.
    pub max_lag_ms: u32,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { max_lag_ms: 5_000 }
    }
}

impl AdmissionSettings {
    /// The gate of this process.
    pub fn gate(self) -> Admission {
        Admission::new(Duration::from_millis(self.max_lag_ms.into()))
    }
}

/// How the program logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged, as a `tracing` filter such as `info,kernel=debug`.
    pub filter: String,
    /// Pretty for people, JSON for machines; `auto` is pretty on a terminal.
    pub format: LogFormat,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
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

const UNREADABLE: &str = "the configuration cannot be understood";

impl Configuration {
    /// Reads the configuration of a program with these modules. `overrides` are the options of the
    /// command line.
    pub fn load(
        file: Option<&Path>,
        overrides: &impl Serialize,
        modules: &[&dyn AnyModule],
    ) -> anyhow::Result<Self> {
        let names: Vec<&str> = modules.iter().map(|module| module.name()).collect();
        let sources = Sources::of(file)?;
        let own = Figment::from(Serialized::defaults(Self::default()));
        let own = sources.own_part(own, &names).merge(Serialized::defaults(overrides));
        let mut configuration: Self = own.extract().context(UNREADABLE)?;
        let sections = sources.whole();
        for module in modules {
            let section = section(&sections, *module).context(UNREADABLE)?;
            configuration.sections.insert(module.name().to_owned(), section);
        }
        // As text: a key of digits alone would be taken for a number, and shown in the error.
        if let Ok(key) = std::env::var("BASCULE_MASTER_KEY") {
            configuration.master_key = Some(Secret::new(key));
        }
        if let Ok(token) = std::env::var("BASCULE_ADMIN_TOKEN") {
            configuration.admin_token = Some(Secret::new(token));
        }
        // An unset variable of an orchestrator is an empty one.
        configuration.admin_token =
            configuration.admin_token.filter(|token| !token.reveal().is_empty());
        Ok(configuration)
    }

    /// Returns whether the event store is another process's, reached over the network: it keeps events
    /// and keys, and no tables of modules.
    pub fn is_store_far(&self) -> bool {
        is_far(self.store.reveal())
    }

    /// Whether a module runs here.
    pub fn runs(&self, module: &str) -> anyhow::Result<bool> {
        let is_named = self.run.iter().any(|one| one == module);
        let is_remote = self.modules.get(module).is_some_and(|module| module.remote.is_some());
        anyhow::ensure!(
            !(is_named && is_remote),
            "{module} is to run here (`run`, --modules) and elsewhere ([modules.{module}] remote): leave one of them out"
        );
        Ok(!is_remote && (self.run.is_empty() || is_named))
    }

    /// Where a module keeps its tables.
    pub fn database_url(&self, module: &str) -> anyhow::Result<String> {
        let set = self.modules.get(module).and_then(|settings| settings.database.clone());
        let set = set.map(|url| url.reveal().to_owned());
        let url = set.map_or_else(|| self.beside_the_store(module), |url| Ok(Some(url)))?;
        url.with_context(|| {
            format!(
                "the tables of {module} cannot be beside a store that is reached over the network: \
                 say where they are, with --database or [modules.{module}] database"
            )
        })
    }

    /// Where tables are beside the store; `None` where it is reached over the network.
    pub fn beside_the_store(&self, name: &str) -> anyhow::Result<Option<String>> {
        if self.is_store_far() {
            return Ok(None);
        }
        Ok(Some(database::module_url(self.store.reveal(), name)?))
    }

    /// Whether a module waits to be handed over before it runs policies and reactors.
    pub fn awaits_charge(&self, module: &str) -> bool {
        let set = self.modules.get(module).and_then(|settings| settings.awaits_charge);
        set.unwrap_or_else(|| self.is_store_far())
    }

    /// Returns the configuration as TOML. Its types leave out what is secret.
    pub fn dump(&self) -> anyhow::Result<String> {
        let unshown = "the configuration cannot be shown";
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
