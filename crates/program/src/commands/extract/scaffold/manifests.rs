//! The manifest of a service's workspace and of its root package, which is the same file.

use std::collections::BTreeSet;

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use super::checkout::PROGRAM;

const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Returns the manifest with the root package of a module's service: it depends on the program and the
/// module, and has no tests of the whole system.
pub fn of_service(
    mut manifest: DocumentMut,
    module: &str,
    members: &BTreeSet<String>,
) -> anyhow::Result<DocumentMut> {
    let of_service = [module, PROGRAM];
    let table = table(&mut manifest, "dependencies")?;
    for name in names(table) {
        if members.contains(&name) && !of_service.contains(&name.as_str()) {
            remove(table, &name);
        }
    }
    manifest.remove("test");
    manifest.remove("dev-dependencies");
    let reached = of_service.map(str::to_owned).into();
    without_unreached(&mut manifest, members, &reached);
    Ok(manifest)
}

/// Removes optional dependencies on workspace members that the service does not use, and the features
/// that enable them, from a package's manifest.
pub fn without_unreached(
    manifest: &mut DocumentMut,
    members: &BTreeSet<String>,
    reached: &BTreeSet<String>,
) {
    let is_gone = |name: &str| members.contains(name) && !reached.contains(name);
    if let Some(table) = manifest.get_mut("dependencies").and_then(Item::as_table_mut) {
        for name in names(table).iter().filter(|name| is_gone(name)) {
            remove(table, name);
        }
    }
    let Some(features) = manifest.get_mut("features").and_then(Item::as_table_mut) else { return };
    let enables_gone = |enabled: &Item| {
        let enabled = enabled.as_array().into_iter().flatten().filter_map(Value::as_str);
        enabled.filter_map(|one| one.strip_prefix("dep:")).any(is_gone)
    };
    let gone: Vec<String> = features
        .iter()
        .filter(|(_, enabled)| enables_gone(enabled))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in &gone {
        remove(features, name);
    }
    for (_, enabled) in features.iter_mut() {
        if let Some(enabled) = enabled.as_array_mut() {
            enabled
                .retain(|one| !one.as_str().is_some_and(|name| gone.iter().any(|it| it == name)));
        }
    }
}

/// Returns the manifest of the workspace with these members and the dependencies in use.
pub fn of_workspace(
    mut manifest: DocumentMut,
    members: &[String],
    used: &BTreeSet<String>,
) -> anyhow::Result<DocumentMut> {
    let workspace = table(&mut manifest, "workspace")?;
    let mut list = Array::new();
    for member in members {
        let mut member = Value::from(member);
        member.decor_mut().set_prefix("\n    ");
        list.push_formatted(member);
    }
    list.set_trailing_comma(true);
    list.set_trailing("\n");
    workspace.insert("members", Item::Value(list.into()));
    let dependencies = workspace.get_mut("dependencies").and_then(Item::as_table_mut);
    let dependencies = dependencies.context("the workspace has no [workspace.dependencies]")?;
    for name in names(dependencies) {
        if !used.contains(&name) {
            remove(dependencies, &name);
        }
    }
    Ok(manifest)
}

/// Returns the names of the dependencies that a package inherits from the workspace.
pub fn inherited(manifest: &DocumentMut) -> BTreeSet<String> {
    let is_inherited = |dependency: &Item| {
        let workspace = dependency.as_table_like().and_then(|table| table.get("workspace"));
        workspace.and_then(Item::as_bool) == Some(true)
    };
    let tables = tables_of_dependencies(manifest).into_iter();
    let inherited = tables.flat_map(|table| table.iter().filter(|(_, one)| is_inherited(one)));
    inherited.map(|(name, _)| name.to_owned()).collect()
}

/// Returns the tables of dependencies, including target-specific ones.
fn tables_of_dependencies(manifest: &DocumentMut) -> Vec<&dyn TableLike> {
    let targets = manifest.get("target").and_then(Item::as_table_like);
    let targets = targets.into_iter().flat_map(|targets| targets.iter().map(|(_, target)| target));
    let places = std::iter::once(manifest.as_item()).chain(targets);
    let tables = places.filter_map(Item::as_table_like).flat_map(|place| {
        DEPENDENCIES.iter().filter_map(|name| place.get(name).and_then(Item::as_table_like))
    });
    tables.collect()
}

fn table<'m>(manifest: &'m mut DocumentMut, name: &str) -> anyhow::Result<&'m mut Table> {
    let table = manifest.get_mut(name).and_then(Item::as_table_mut);
    table.with_context(|| format!("the manifest has no [{name}]"))
}

fn names(table: &Table) -> Vec<String> {
    table.iter().map(|(name, _)| name.to_owned()).collect()
}

/// Removes an entry. The comment above the first entry of a block belongs to the block and moves to the
/// next entry of the block.
fn remove(table: &mut Table, name: &str) {
    let names = names(table);
    let Some(at) = names.iter().position(|one| one == name) else { return };
    let comment = comment_above(table, name).unwrap_or_default();
    table.remove(name);
    let is_heading = at == 0 || begins_block(&comment);
    if let Some(next) = names.get(at + 1).filter(|_| is_heading) {
        let own = comment_above(table, next).unwrap_or_default();
        if !begins_block(&own) {
            set_comment_above(table, next, &format!("{comment}{own}"));
        }
    }
}

fn comment_above(table: &Table, name: &str) -> Option<String> {
    let decor = match table.get(name).and_then(Item::as_table).filter(|one| one.is_dotted()) {
        // The comment belongs to the last part of a dotted name.
        Some(dotted) => dotted.key(dotted.iter().next()?.0)?.leaf_decor(),
        None => table.key(name)?.leaf_decor(),
    };
    decor.prefix()?.as_str().map(str::to_owned)
}

fn set_comment_above(table: &mut Table, name: &str, comment: &str) {
    let mut entries = match table.get_mut(name).and_then(Item::as_table_mut) {
        Some(dotted) if dotted.is_dotted() => dotted.iter_mut(),
        _ => {
            if let Some(mut key) = table.key_mut(name) {
                key.leaf_decor_mut().set_prefix(comment);
            }
            return;
        }
    };
    if let Some((mut key, _)) = entries.next() {
        key.leaf_decor_mut().set_prefix(comment);
    }
}

fn begins_block(comment: &str) -> bool {
    comment.starts_with('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"[workspace]
members = ["crates/*", "domains/*"]

[workspace.dependencies]
# Ours.
ports = { path = "domains/ports" }
program = { path = "crates/program" }
ships = { path = "domains/ships" }

# Data.
chrono = "0.4"
# Said of this one alone.
mimalloc = "1"

# Tests.
rstest = "0.26"

[package]
name = "harbour"

[dependencies]
charts = { workspace = true, optional = true }
mimalloc.workspace = true
ports.workspace = true
program.workspace = true
ships.workspace = true

[dev-dependencies]
chrono.workspace = true
rstest.workspace = true

[features]
default = ["charts"]
# Charts of the sea.
charts = ["dep:charts", "program/charts"]
crash-points = ["program/crash-points"]

[[test]]
name = "it"
path = "tests/it/main.rs"

[profile.dev]
debug = false
"#;

    const OF_SHIPS: &str = r#"[workspace]
members = [
    "domains/ships",
]

[workspace.dependencies]
# Ours.
program = { path = "crates/program" }
ships = { path = "domains/ships" }

# Data.
# Said of this one alone.
mimalloc = "1"

[package]
name = "harbour"

[dependencies]
mimalloc.workspace = true
program.workspace = true
ships.workspace = true

[features]
default = []
crash-points = ["program/crash-points"]

[profile.dev]
debug = false
"#;

    #[test]
    fn the_manifest_keeps_what_is_used_and_what_is_said_of_it() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let members: BTreeSet<String> = set(&["charts", "ports", "program", "ships"]);
        let manifest: DocumentMut = MANIFEST.parse().unwrap();
        let manifest = of_service(manifest, "ships", &members).unwrap();
        let used = inherited(&manifest);
        assert_eq!(used, set(&["mimalloc", "program", "ships"]));
        let manifest = of_workspace(manifest, &["domains/ships".to_owned()], &used).unwrap();
        assert_eq!(manifest.to_string(), OF_SHIPS);
    }
}
