//! `bascule extract <module> --scaffold DIR`: writes a Cargo workspace for the service of one module,
//! copied from a checkout of the system.
//!
//! The service's binary passes a list of one module to the same program. Its workspace has every crate
//! that this binary depends on ([`checkout`]), a root package of its own ([`manifests`], [`sources`]),
//! and the locked dependency versions of the system.

mod checkout;
mod files;
mod manifests;
mod origin;
mod sources;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use toml_edit::DocumentMut;

use self::checkout::Checkout;
use crate::values::failure::Misused;
use crate::values::output;

/// Workspace-wide files that are copied to the service's workspace if the system has them.
const CARRIED: &[&str] = &[
    ".cargo/config.toml",
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    // Tests of modules use PostgreSQL.
    "scripts/lib/postgres.sh",
    "scripts/lib/say.sh",
    "scripts/with-postgres.sh",
];

/// Writes the workspace, completely or not at all.
pub fn write(module: &str, target: &Path, source: Option<&Path>) -> anyhow::Result<()> {
    let target = free(target)?;
    let checkout = Checkout::find(source, module)?;
    let parent = target.parent().context("a folder has a parent")?;
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot create {}", parent.display()))?;
    // A sibling of the target can be renamed to it: a killed command leaves no partial target.
    let workspace = tempfile::Builder::new()
        .prefix(".scaffold-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    let crates = fill(&checkout, workspace.path())?;
    files::open_to_others(workspace.path())?;
    // Fails if the target is no longer empty.
    std::fs::rename(workspace.path(), &target)
        .with_context(|| format!("cannot move the workspace to {}", target.display()))?;
    // The temporary folder was renamed: nothing is left to remove.
    let _: PathBuf = workspace.keep();
    let shown = target.display();
    output::line(format_args!(
        "wrote {shown}: the service of {module}, with {}",
        crates.join(", ")
    ))?;
    output::line(format_args!(
        "its README.md describes how to build it and how to hand the module over"
    ))
}

/// Returns the absolute path of the folder. Fails unless it is empty or does not exist.
fn free(target: &Path) -> anyhow::Result<PathBuf> {
    let shown = target.display();
    let path = std::path::absolute(target).with_context(|| format!("{shown} is not a folder"))?;
    match std::fs::read_dir(&path) {
        Ok(mut entries) => {
            let problem =
                format!("{shown} is not empty: name a folder that is empty or does not exist");
            ensure!(entries.next().is_none(), Misused(problem));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot use {shown}")),
    }
    Ok(path)
}

/// Fills a new folder. Returns the names of the crates in it.
fn fill(checkout: &Checkout, workspace: &Path) -> anyhow::Result<Vec<String>> {
    let root = &checkout.root;
    let crates = checkout.reached()?;
    let members = checkout.members();
    let reached: BTreeSet<String> = crates.iter().map(|one| one.name.clone()).collect();
    files::write(&workspace.join("src/main.rs"), &sources::main_of(checkout))?;

    let manifest = manifests::of_service(checkout.root_manifest()?, &checkout.module, &members)?;
    let mut used = manifests::inherited(&manifest);
    let mut copied = Vec::new();
    for one in &crates {
        for file in files::of_folder(&one.folder)? {
            files::copy(root, &file, workspace)?;
            copied.push(file);
        }
        let text = std::fs::read_to_string(&one.manifest)?;
        let mut manifest: DocumentMut = text.parse()?;
        manifests::without_unreached(&mut manifest, &members, &reached);
        files::write(&workspace.join(one.manifest.strip_prefix(root)?), &manifest.to_string())?;
        used.extend(manifests::inherited(&manifest));
    }
    let mut folders: Vec<String> = crates.iter().map(|one| one.path.clone()).collect();
    folders.sort_unstable();
    let manifest = manifests::of_workspace(manifest, &folders, &used)?;
    files::write(&workspace.join("Cargo.toml"), &manifest.to_string())?;

    for file in sources::named_outside(checkout, &crates, &copied)? {
        files::copy(root, &file, workspace)?;
    }
    let schemas = root.join("openapi/events").join(&checkout.module);
    let carried = CARRIED.iter().map(|file| root.join(file)).filter(|file| file.is_file());
    for file in carried.chain(files::of_folder(&schemas)?) {
        files::copy(root, &file, workspace)?;
    }
    files::write(&workspace.join("README.md"), &origin::readme(checkout, &crates)?)?;
    lock(root, workspace)?;
    Ok(crates.into_iter().map(|one| one.name).collect())
}

/// Locks the same versions as the system: cargo removes packages that are no longer used.
fn lock(root: &Path, workspace: &Path) -> anyhow::Result<()> {
    files::copy(root, &root.join("Cargo.lock"), workspace)?;
    // Uses the network only if this machine has not built the system yet.
    let update = |offline: &[&str]| {
        let mut cargo = Command::new(checkout::cargo());
        cargo.current_dir(workspace).args(["update", "--workspace", "--quiet"]).args(offline);
        cargo.output().context("cannot run cargo")
    };
    let mut updated = update(&["--offline"])?;
    if !updated.status.success() {
        updated = update(&[])?;
    }
    let complaint = String::from_utf8_lossy(&updated.stderr);
    ensure!(updated.status.success(), "cargo cannot lock the versions: {}", complaint.trim());
    let (before, after) =
        (locked(&root.join("Cargo.lock"))?, locked(&workspace.join("Cargo.lock"))?);
    let other: Vec<&str> = after.difference(&before).map(String::as_str).collect();
    ensure!(
        other.is_empty(),
        "Cargo.lock does not match the manifests: cargo would use {}. Run `cargo check` in the system's workspace, then run the command again",
        other.join(", ")
    );
    Ok(())
}

/// Returns the packages of a lock file with their versions.
fn locked(file: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let lock: toml::Table = toml::from_str(&text).with_context(|| file.display().to_string())?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let field = |package: &toml::Value, name| package.get(name)?.as_str().map(str::to_owned);
    let packages = packages.into_iter().flatten().filter_map(|package| {
        Some(format!("{} {}", field(package, "name")?, field(package, "version")?))
    });
    Ok(packages.collect())
}
