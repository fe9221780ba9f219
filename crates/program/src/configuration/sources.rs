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
        let reason = error.reason.replacen("unknown field", "unknown key", 1);
        let problem = format!("{reason} for key \"{path}\"{}", place(source));
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

/// Returns the errors with their keys as the sources name them.
pub fn explained(errors: Error, sections: &[&str]) -> anyhow::Error {
    let explained = errors.into_iter().map(|error| explain(&error, sections)).collect::<Vec<_>>();
    anyhow::anyhow!(explained.join("; "))
}

/// Explains one error. An unknown key comes with the choices; those of the top level include the sections of
/// the modules, which the configuration's own type does not know.
fn explain(error: &Error, sections: &[&str]) -> String {
    let place = place(error.metadata.as_ref());
    let key = match &*error.path {
        [] => String::new(),
        path => format!(" for key \"{}\"", path.join(".")),
    };
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let path = error.path.strip_suffix(std::slice::from_ref(name)).unwrap_or(&error.path);
            let (section, modules) = match path {
                [] => (
                    String::new(),
                    format!(", or the section of a module: {}", listed(sections, '[', ']')),
                ),
                path => (format!(" in [{}]", path.join(".")), String::new()),
            };
            let hint = if place.contains(ENVIRONMENT) { TWO_UNDERSCORES } else { "" };
            let known = listed(known, '`', '`');
            format!("unknown key `{name}`{section}{place}: expected one of {known}{modules}{hint}")
        }
        Kind::UnknownVariant(value, known) => {
            format!(
                "unknown value `{value}`{key}{place}: expected one of {}",
                listed(known, '`', '`')
            )
        }
        kind => format!("{kind}{key}{place}"),
    }
}

/// How figment names the environment among the sources.
const ENVIRONMENT: &str = "environment variable";
const TWO_UNDERSCORES: &str =
    " (in a variable two underscores follow the name of a section: BASCULE_LOG__FORMAT)";

/// Returns names between marks, separated by commas.
fn listed(names: &[&str], before: char, after: char) -> String {
    let names = names.iter().map(|name| format!("{before}{name}{after}"));
    names.collect::<Vec<_>>().join(", ")
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
