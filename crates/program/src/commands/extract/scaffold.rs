//! `bascule extract <module> --scaffold DIR`: a Cargo workspace for the service of one module, made
//! from a checkout of the system.
//!
//! The service's binary hands the same program a list of one module. Its workspace has every crate that
//! this reaches ([`checkout`]), a root package of its own ([`manifests`], [`sources`]), and the versions
//! of dependencies that the system has locked.

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

/// Files of the workspace as a whole that a service's has, too, where the system has them.
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

/// Writes the workspace: all of it, or nothing.
pub fn write(module: &str, target: &Path, source: Option<&Path>) -> anyhow::Result<()> {
    let target = free(target)?;
    let checkout = Checkout::find(source, module)?;
    let parent = target.parent().context("a folder has a parent")?;
    std::fs::create_dir_all(parent)
        .with_context(|| format!("{} cannot be made", parent.display()))?;
    // Beside it, so that it can be moved: a command that is killed leaves nothing half done there.
    let workspace = tempfile::Builder::new()
        .prefix(".scaffold-")
        .tempdir_in(parent)
        .with_context(|| format!("nothing can be written to {}", parent.display()))?;
    let crates = fill(&checkout, workspace.path())?;
    files::open_to_others(workspace.path())?;
    // Fails where it is not empty any more.
    std::fs::rename(workspace.path(), &target)
        .with_context(|| format!("{} cannot be put in place", target.display()))?;
    // Nothing is there any more to be removed.
    let _: PathBuf = workspace.keep();
    let shown = target.display();
    output::line(format_args!(
        "wrote {shown}: the service of {module}, with {}",
        crates.join(", ")
    ))?;
    output::line(format_args!("README.md there says how to build it and how to hand over"))
}

/// The folder's full path, if it is not there or empty.
fn free(target: &Path) -> anyhow::Result<PathBuf> {
    let shown = target.display();
    let path = std::path::absolute(target).with_context(|| format!("{shown} is no folder"))?;
    match std::fs::read_dir(&path) {
        Ok(mut entries) => {
            let problem =
                format!("{shown} is not empty: name a folder that is, or that is not there");
            ensure!(entries.next().is_none(), Misused(problem));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be used")),
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

/// Locks the versions that the system has locked: cargo drops what is not used any more.
fn lock(root: &Path, workspace: &Path) -> anyhow::Result<()> {
    files::copy(root, &root.join("Cargo.lock"), workspace)?;
    // The network is asked only where this machine has not built the system yet.
    let update = |offline: &[&str]| {
        let mut cargo = Command::new(checkout::cargo());
        cargo.current_dir(workspace).args(["update", "--workspace", "--quiet"]).args(offline);
        cargo.output().context("cargo cannot be run")
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
        "Cargo.lock does not fit the manifests: cargo would take {}. Run `cargo check` in the system and give the command again",
        other.join(", ")
    );
    Ok(())
}

/// The packages of a lock file with their versions.
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
