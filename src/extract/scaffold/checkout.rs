//! The checkout of the system that a service is made from: its crates, and what belongs to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::{MetadataCommand, Package};
use toml_edit::DocumentMut;

use super::sources::Features;
use crate::cli::Misused;

/// What comes after a module's name in that of the crate with its events.
const CONTRACT: &str = "-contract";
/// The feature of the root package that stands for everything a service of one module is less of.
const SYSTEM: &str = "system";
/// What only the system has, whatever module leaves it.
const OF_THE_SYSTEM: [&str; 2] = [SYSTEM, "extract"];

/// The cargo of whoever runs the command.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A checkout of the system, looked at for one module.
pub struct Checkout {
    /// Its folder.
    pub root: PathBuf,
    /// The module.
    pub module: String,
    /// The release that it is made from.
    pub version: String,
    /// What becomes of the features of the root package.
    pub features: Features,
    crates: BTreeMap<String, Crate>,
    modules: BTreeSet<String>,
}

/// A crate of the workspace beside the root package.
#[derive(Clone)]
pub struct Crate {
    /// Its package's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its folder, from the workspace's on.
    pub path: String,
    /// Its manifest.
    pub manifest: PathBuf,
    /// What it depends on within the workspace, in tests too.
    dependencies: BTreeSet<String>,
}

impl Checkout {
    /// Looks at the workspace that a folder is in, the current one unless named.
    pub fn find(folder: Option<&Path>, module: &str) -> anyhow::Result<Self> {
        let folder = folder.unwrap_or(Path::new("."));
        let shown = folder.display();
        let stand = "stand in a checkout of the system, or name one with --source";
        ensure!(folder.is_dir(), Misused(format!("there is no folder {shown}: {stand}")));
        let metadata =
            MetadataCommand::new().cargo_path(cargo()).current_dir(folder).no_deps().exec();
        let metadata = metadata.map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => {
                let why = stderr.trim().trim_start_matches("error: ");
                Misused(format!(
                    "{shown} is in no Cargo workspace that can be read ({why}): {stand}"
                ))
                .into()
            }
            error => anyhow::Error::new(error).context("cargo cannot be asked about the checkout"),
        })?;
        let root = metadata.root_package().filter(|root| root.features.contains_key(SYSTEM));
        let root = root.with_context(|| {
            let found = &metadata.workspace_root;
            Misused(format!("the workspace {found} is not the system's: {stand}"))
        })?;
        let packages: Vec<&Package> = metadata.workspace_packages();
        let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let is_module = |name: &&&str| names.contains(format!("{name}{CONTRACT}").as_str());
        let modules: BTreeSet<String> =
            names.iter().filter(is_module).map(|name| (*name).to_owned()).collect();
        if !modules.contains(module) {
            let known: Vec<&str> = modules.iter().map(String::as_str).collect();
            let problem = format!(
                "{} has no module `{module}` (a crate of that name and {module}{CONTRACT}); its modules are {}",
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
            features: features(&root.features, module, &modules)?,
            version: root.version.to_string(),
            module: module.to_owned(),
            crates: crates.collect::<anyhow::Result<_>>()?,
            root: root_folder,
            modules,
        })
    }

    /// The manifest of the workspace and its root package.
    pub fn root_manifest(&self) -> anyhow::Result<DocumentMut> {
        let file = self.root.join("Cargo.toml");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        text.parse().with_context(|| format!("{} is no manifest", file.display()))
    }

    /// The crates that the service consists of, given what its root package depends on. Other modules'
    /// code is none of it.
    pub fn reached(&self, dependencies: &BTreeSet<String>) -> anyhow::Result<Vec<Crate>> {
        let contract = format!("{}{CONTRACT}", self.module);
        let within = |name: &&String| self.crates.contains_key(*name);
        let mut waiting: Vec<(String, &str)> = dependencies
            .iter()
            .filter(within)
            .map(|name| (name.clone(), "the root package"))
            .chain([(self.module.clone(), ""), (contract, "")])
            .collect();
        let mut reached = BTreeMap::new();
        while let Some((name, from)) = waiting.pop() {
            if reached.contains_key(&name) {
                continue;
            }
            ensure!(
                name == self.module || !self.modules.contains(&name),
                "{from} depends on the module {name}: modules know each other by their contracts only, depend on {name}{CONTRACT}"
            );
            let Some(one) = self.crates.get(&name) else {
                bail!("{from} depends on {name}, which is no member of the workspace");
            };
            let more = one.dependencies.iter().map(|name| (name.clone(), one.name.as_str()));
            waiting.extend(more);
            reached.insert(name, one.clone());
        }
        Ok(reached.into_values().collect())
    }

    /// The crate whose folder a file is in; `None` of what belongs to the workspace as a whole.
    pub fn crate_of(&self, file: &Path) -> Option<&Crate> {
        let holding = self.crates.values().filter(|one| file.starts_with(&one.folder));
        holding.max_by_key(|one| one.folder.components().count())
    }
}

fn described(package: &Package, root: &Path) -> anyhow::Result<Crate> {
    let manifest = package.manifest_path.clone().into_std_path_buf();
    let folder = manifest.parent().context("a manifest is in a folder")?.to_path_buf();
    let path = folder.strip_prefix(root).with_context(|| {
        format!("{} is outside the workspace's folder: it cannot be taken along", folder.display())
    })?;
    let within = package.dependencies.iter().filter(|one| one.path.is_some());
    Ok(Crate {
        name: package.name.to_string(),
        path: path.display().to_string(),
        dependencies: within.map(|one| one.name.clone()).collect(),
        manifest,
        folder,
    })
}

/// Settles every feature that the system consists of: it is there in the service, or is not.
fn features(
    all: &BTreeMap<String, Vec<String>>,
    module: &str,
    modules: &BTreeSet<String>,
) -> anyhow::Result<Features> {
    ensure!(all.contains_key(module), "the root package has no feature `{module}`");
    let mut settled: BTreeSet<String> = BTreeSet::new();
    let mut waiting = vec![SYSTEM.to_owned()];
    while let Some(name) = waiting.pop() {
        if let Some(enabled) = all.get(&name)
            && settled.insert(name)
        {
            waiting.extend(enabled.iter().cloned());
        }
    }
    let is_foreign =
        |name: &str| OF_THE_SYSTEM.contains(&name) || (name != module && modules.contains(name));
    let mut dropped: BTreeSet<String> =
        settled.iter().filter(|name| is_foreign(name)).cloned().collect();
    loop {
        let needs = |name: &&String| all[*name].iter().any(|enabled| dropped.contains(enabled));
        let more: Vec<String> = settled.difference(&dropped).filter(needs).cloned().collect();
        if more.is_empty() {
            break;
        }
        dropped.extend(more);
    }
    ensure!(
        !dropped.contains(module),
        "the feature `{module}` of the root package needs another module's: a module runs without them"
    );
    let kept = settled.difference(&dropped).cloned().collect();
    Ok(Features { kept, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_needs_another_module_goes_with_it() {
        let all = [
            ("default", &["network", "system"][..]),
            ("network", &["dep:network"]),
            ("system", &["ports", "ships", "import", "extract"]),
            ("ports", &["dep:ports"]),
            ("ships", &["dep:ships"]),
            ("import", &["ports", "dep:capture"]),
            ("extract", &[]),
        ];
        let all = all.map(|(name, enabled)| {
            (name.to_owned(), enabled.iter().map(|one| (*one).to_owned()).collect())
        });
        let (all, modules) = (BTreeMap::from(all), names(&["ports", "ships"]));
        let of_ports = features(&all, "ports", &modules).unwrap();
        assert_eq!(of_ports.kept, names(&["import", "ports"]));
        assert_eq!(of_ports.dropped, names(&["extract", "ships", "system"]));
        let of_ships = features(&all, "ships", &modules).unwrap();
        assert_eq!(of_ships.kept, names(&["ships"]));
        assert_eq!(of_ships.dropped, names(&["extract", "import", "ports", "system"]));
    }
}
