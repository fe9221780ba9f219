//! The sources of the configuration, and the modules' sections in them.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Env, Format as _, Toml};
use figment::value::{Dict, Map};
use figment::{Error, Figment, Metadata, Profile, Provider};
use module::AnyModule;
use serde_json::Value;

/// Default configuration file, in the current folder.
const CONFIGURATION_FILE: &str = "bascule.toml";

/// Environment variables with our prefix that are not configuration, or are read separately.
const READ_APART: &[&str] = &[
    "address_file",
    "admin_token",
    "config",
    "crash_at",
    "master_key",
    "test_postgres",
    "test_postgres_bin",
    "to_admin_token",
];

/// The sources of the configuration: the file and the environment.
pub struct Sources {
    file: Option<PathBuf>,
}

impl Sources {
    /// Returns the sources with the named file, or with the default file if it exists.
    pub fn of(file: Option<&Path>) -> anyhow::Result<Self> {
        let file = match file {
            Some(file) => {
                anyhow::ensure!(
                    file.is_file(),
                    "the configuration file {} does not exist",
                    file.display()
                );
                Some(file.to_owned())
            }
            None => Some(PathBuf::from(CONFIGURATION_FILE)).filter(|file| file.is_file()),
        };
        Ok(Self { file })
    }

    /// Returns `figment` overridden by everything except the sections of these names.
    pub fn own_part(&self, figment: Figment, sections: &[&str]) -> Figment {
        let figment = match &self.file {
            Some(file) => figment.merge(Without(Toml::file_exact(file), sections)),
            None => figment,
        };
        figment.merge(Without(environment(), sections))
    }

    /// Returns everything, merged.
    pub fn whole(&self) -> Figment {
        let figment = match &self.file {
            Some(file) => Figment::from(Toml::file_exact(file)),
            None => Figment::new(),
        };
        figment.merge(environment())
    }
}

fn environment() -> Env {
    Env::prefixed("BASCULE_").ignore(READ_APART).split("__")
}

/// A source without some of its sections.
struct Without<'s, P>(P, &'s [&'s str]);

impl<P: Provider> Provider for Without<'_, P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        for values in data.values_mut() {
            values.retain(|name, _| !self.1.contains(&name.as_str()));
        }
        Ok(data)
    }

    fn profile(&self) -> Option<Profile> {
        self.0.profile()
    }
}

/// A module's section of the configuration.
#[derive(Debug, Clone)]
pub struct Section {
    /// The configured values, including secrets; null if there are none.
    pub given: Value,
    /// The same with defaults filled in and without secrets.
    pub(super) shown: Value,
}

/// Reads a module's section. An error names the source of the invalid value.
pub fn section(figment: &Figment, module: &dyn AnyModule) -> anyhow::Result<Section> {
    let name = module.name();
    let given = match figment.extract_inner::<Value>(name) {
        Ok(given) => given,
        Err(error) if error.missing() => Value::Null,
        Err(error) => return Err(error.into()),
    };
    let shown = module.shown_settings(given.clone()).map_err(|error| {
        let path = match &*error.path {
            "" => name.to_owned(),
            path => format!("{name}.{path}"),
        };
        // The source of the setting itself or, if it is missing, of the section.
        let source = figment.find_metadata(&path).or_else(|| figment.find_metadata(name));
        let problem = format!("{} for key \"{path}\"{}", error.reason, place(source));
        anyhow::anyhow!(problem)
    })?;
    Ok(Section { given, shown })
}

/// Returns where a value comes from, as the end of an error text.
fn place(source: Option<&Metadata>) -> String {
    source.map_or_else(String::new, |metadata| match &metadata.source {
        Some(source) => format!(" in {source} {}", metadata.name),
        None => format!(" in {}", metadata.name),
    })
}

/// Returns an error about an unknown key with the choices. Those of the top level include the sections of
/// the modules, which the configuration's own type does not know.
pub fn with_choices(error: Error, sections: &[&str]) -> anyhow::Error {
    let Kind::UnknownField(name, known) = &error.kind else {
        return error.into();
    };
    let path = error.path.strip_suffix(std::slice::from_ref(name)).unwrap_or(&error.path);
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let place = place(error.metadata.as_ref());
    if !path.is_empty() {
        let section = path.join(".");
        return anyhow::anyhow!(
            "unknown key `{name}` in [{section}]{place}: expected one of {known}"
        );
    }
    let sections = sections.iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
    anyhow::anyhow!(
        "unknown key `{name}`{place}: expected one of {known}, or the section of a module: {sections}"
    )
}

/// Returns a section without null values, which TOML cannot express.
pub fn without_null(section: &Value) -> Value {
    match section {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_null(value)))
            .collect(),
        other => other.clone(),
    }
}
