//! The README of a service's workspace: its origin and its use.

use std::path::Path;
use std::process::Command;

use super::checkout::{Checkout, Crate};

/// The text, with `{…}` as placeholders.
const README: &str = include_str!("README.md");

/// Returns the README of a service's workspace.
pub fn readme(checkout: &Checkout, crates: &[Crate]) -> anyhow::Result<String> {
    let Checkout { root, module, version, .. } = checkout;
    let commit = commit(root)?.map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let origin = format!("bascule {version}{commit}");
    let listed: String = crates.iter().map(|one| format!("- `{}`\n", one.path)).collect();
    Ok(README
        .replace("{module}", module)
        .replace("{origin}", &origin)
        .replace("{crates}", listed.trim_end()))
}

/// Returns the checked-out commit and whether the tree has uncommitted changes; `None` without git.
fn commit(root: &Path) -> anyhow::Result<Option<String>> {
    let git = |arguments: &[&str]| Command::new("git").arg("-C").arg(root).args(arguments).output();
    let Ok(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return Ok(None) };
    if !head.status.success() {
        return Ok(None);
    }
    let head = String::from_utf8(head.stdout)?.trim().to_owned();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let changes = if changed.stdout.is_empty() { "" } else { " with uncommitted changes" };
    Ok(Some(format!("{head}{changes}")))
}
