//! The sources of a service: its list of one module, and files that its crates use outside their folders.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::checkout::{Checkout, Crate};

/// The text of the binary, with `{…}` as placeholders.
const MAIN: &str = include_str!("main.rs.txt");

/// Returns `src/main.rs` of the service, with a list of the one module.
pub fn main_of(Checkout { module, value, .. }: &Checkout) -> String {
    MAIN.replace("{module}", module).replace("{value}", value)
}

/// Returns the files that sources refer to by a path outside their crate: migrations, documents that a
/// test reads, files of another crate.
pub fn named_outside(
    checkout: &Checkout,
    crates: &[Crate],
    sources: &[PathBuf],
) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut named = BTreeSet::new();
    for source in sources {
        if source.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        // Relative to the file, as `include_str!` resolves it, or to the crate, as `migrate!` does.
        let home = checkout.crate_of(source).map_or(&checkout.root, |one| &one.folder);
        let from = [source.parent().unwrap_or(home), home];
        for path in paths_upwards(&text) {
            let found = from.iter().find_map(|from| from.join(path).canonicalize().ok());
            let Some(found) = found.filter(|found| found.starts_with(&checkout.root)) else {
                continue;
            };
            // A folder that contains the source is only a base for other paths.
            if source.starts_with(&found) || found.starts_with(home) && *home != checkout.root {
                continue;
            }
            match checkout.crate_of(&found) {
                Some(other) if crates.iter().any(|one| one.name == other.name) => {}
                Some(other) => bail!(
                    "{} refers to {path}, which is in {}: a service must not contain files of other modules",
                    source.display(),
                    other.name
                ),
                None => {
                    named.insert(found);
                }
            }
        }
    }
    Ok(named)
}

/// Returns the string literals of a source that are paths to a parent folder.
fn paths_upwards(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("\"../").map(|(start, _)| start + 1);
    starts.filter_map(|start| text[start..].split('"').next())
}
