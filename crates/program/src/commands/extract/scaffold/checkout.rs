//! The checkout of the system that a service is copied from: its crates and their dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::{MetadataCommand, Package};
use toml_edit::DocumentMut;

use crate::values::failure::Misused;

/// Suffix of the crate with a module's events, after the module's name.
const CONTRACT: &str = "-contract";
/// The crate that the root package of the system passes its modules to.
pub const PROGRAM: &str = "program";

/// Returns the cargo executable: that of the calling cargo, or the one on the path.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A checkout of the system, analysed for one module.
pub struct Checkout {
    /// The root folder.
    pub root: PathBuf,
    /// The module.
    pub module: String,
    /// The module's value, as src/main.rs lists it.
    pub value: String,
    /// The version of the system.
    pub version: String,
    crates: BTreeMap<String, Crate>,
    modules: BTreeSet<String>,
}

/// A crate of the workspace beside the root package.
#[derive(Clone)]
pub struct Crate {
    /// Name of the package.
    pub name: String,
    /// Folder of the crate.
    pub folder: PathBuf,
    /// Path of the folder, relative to the workspace's root.
    pub path: String,
    /// Path of the manifest.
    pub manifest: PathBuf,
    /// Dependencies within the workspace, dev-dependencies included, optional ones excluded.
    dependencies: BTreeSet<String>,
}

impl Checkout {
    /// Analyses the workspace that contains a folder (by default the current one).
    pub fn find(folder: Option<&Path>, module: &str) -> anyhow::Result<Self> {
        let folder = folder.unwrap_or(Path::new("."));
        let shown = folder.display();
        let stand = "run this in a checkout of the system, or name one with --source";
        ensure!(folder.is_dir(), Misused(format!("the folder {shown} does not exist: {stand}")));
        let metadata =
            MetadataCommand::new().cargo_path(cargo()).current_dir(folder).no_deps().exec();
        let metadata = metadata.map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => {
                let why = stderr.trim().trim_start_matches("error: ");
                Misused(format!("{shown} is not in a readable Cargo workspace ({why}): {stand}"))
                    .into()
            }
            error => anyhow::Error::new(error).context("cannot read the checkout's cargo metadata"),
        })?;
        let uses_program =
            |root: &&Package| root.dependencies.iter().any(|one| one.name == PROGRAM);
        let root = metadata.root_package().filter(uses_program);
        let root = root.with_context(|| {
            let found = &metadata.workspace_root;
            Misused(format!("{found} is not the workspace of a bascule system: {stand}"))
        })?;
        let packages: Vec<&Package> = metadata.workspace_packages();
        let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let list = metadata.workspace_root.as_std_path().join("src/main.rs");
        let list = std::fs::read_to_string(&list)
            .with_context(|| format!("cannot read {}", list.display()))?;
        let is_module = |name: &&&str| {
            names.contains(format!("{name}{CONTRACT}").as_str()) && listed(&list, name).is_some()
        };
        let modules: BTreeSet<String> =
            names.iter().filter(is_module).map(|name| (*name).to_owned()).collect();
        if !modules.contains(module) {
            let known: Vec<&str> = modules.iter().map(String::as_str).collect();
            let problem = format!(
                "{} has no module `{module}` (a crate of that name, a crate {module}{CONTRACT}, and `&{module}::…,` on its own line in src/main.rs); its modules are {}",
                metadata.workspace_root,
                known.join(", ")
            );
            return Err(Misused(problem).into());
        }
        let root_folder = metadata.workspace_root.clone().into_std_path_buf();
        let crates = packages.iter().filter(|package| package.id != root.id);
        let crates =
            crates.map(|package| Ok((package.name.to_string(), described(package, &root_folder)?)));
        Ok(Self {
            version: root.version.to_string(),
            value: listed(&list, module).unwrap_or_default().to_owned(),
            module: module.to_owned(),
            crates: crates.collect::<anyhow::Result<_>>()?,
            root: root_folder,
            modules,
        })
    }

    /// Returns the names of all crates of the workspace beside the root package.
    pub fn members(&self) -> BTreeSet<String> {
        self.crates.keys().cloned().collect()
    }

    /// Returns the manifest of the workspace and its root package.
    pub fn root_manifest(&self) -> anyhow::Result<DocumentMut> {
        let file = self.root.join("Cargo.toml");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        text.parse().with_context(|| format!("{} is not a valid manifest", file.display()))
    }

    /// Returns the crates of the service: the program, the module, and their transitive dependencies
    /// without optional ones. Fails if these include the code of another module.
    pub fn reached(&self) -> anyhow::Result<Vec<Crate>> {
        let contract = format!("{}{CONTRACT}", self.module);
        let mut waiting: Vec<(String, &str)> = [PROGRAM.to_owned(), self.module.clone(), contract]
            .map(|name| (name, "the service"))
            .into();
        let mut reached = BTreeMap::new();
        while let Some((name, from)) = waiting.pop() {
            if reached.contains_key(&name) {
                continue;
            }
            ensure!(
                name == self.module || !self.modules.contains(&name),
                "{from} depends on the module {name}: modules may depend only on each other's contracts; depend on {name}{CONTRACT} instead"
            );
            let Some(one) = self.crates.get(&name) else {
                bail!("{from} depends on {name}, which is not a member of the workspace");
            };
            let more = one.dependencies.iter().map(|name| (name.clone(), one.name.as_str()));
            waiting.extend(more);
            reached.insert(name, one.clone());
        }
        Ok(reached.into_values().collect())
    }

    /// Returns the crate that contains a file, or `None` for a file of the workspace as a whole.
    pub fn crate_of(&self, file: &Path) -> Option<&Crate> {
        let holding = self.crates.values().filter(|one| file.starts_with(&one.folder));
        holding.max_by_key(|one| one.folder.components().count())
    }
}

/// Returns the value of a module in the text of a list of modules.
fn listed<'t>(text: &'t str, module: &str) -> Option<&'t str> {
    let of_module = format!("&{module}::");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with(&of_module))?.strip_suffix(',')
}

fn described(package: &Package, root: &Path) -> anyhow::Result<Crate> {
    let manifest = package.manifest_path.clone().into_std_path_buf();
    let folder = manifest.parent().context("a manifest is in a folder")?.to_path_buf();
    let path = folder.strip_prefix(root).with_context(|| {
        format!("{} is outside the workspace's folder and cannot be copied", folder.display())
    })?;
    let within = package.dependencies.iter().filter(|one| one.path.is_some() && !one.optional);
    Ok(Crate {
        name: package.name.to_string(),
        path: path.display().to_string(),
        dependencies: within.map(|one| one.name.clone()).collect(),
        manifest,
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_in_the_list() {
        let list = "static MODULES: &[&dyn AnyModule] = &[\n    &ports::Ports,\n    &ships::Ships::new(),\n];\n";
        assert_eq!(listed(list, "ships"), Some("&ships::Ships::new()"));
        assert_eq!(listed(list, "ship"), None);
    }
}
