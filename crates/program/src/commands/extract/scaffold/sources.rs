//! The sources of a service: its list of one module, and what its crates name outside their folders.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::checkout::{Checkout, Crate};

/// The text of the binary, with `{…}` for what differs.
const MAIN: &str = include_str!("main.rs.txt");

/// Returns `src/main.rs` of the service: the system's list of modules with the one that is left.
pub fn main_of(Checkout { module, value, .. }: &Checkout) -> String {
    MAIN.replace("{module}", module).replace("{value}", value)
}

/// What sources name outside their crates, by a path that leads there: migrations, documents that a
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
            .with_context(|| format!("{} cannot be read", source.display()))?;
        // From the file, as `include_str!` takes it, or from the crate, as `migrate!` does.
        let home = checkout.crate_of(source).map_or(&checkout.root, |one| &one.folder);
        let from = [source.parent().unwrap_or(home), home];
        for path in paths_upwards(&text) {
            let found = from.iter().find_map(|from| from.join(path).canonicalize().ok());
            let Some(found) = found.filter(|found| found.starts_with(&checkout.root)) else {
                continue;
            };
            // A folder around the source is where it looks for something else.
            if source.starts_with(&found) || found.starts_with(home) && *home != checkout.root {
                continue;
            }
            match checkout.crate_of(&found) {
                Some(other) if crates.iter().any(|one| one.name == other.name) => {}
                Some(other) => bail!(
                    "{} names {path}, which is in {}: a service has nothing of other modules",
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

/// The string literals of a source that are paths to a folder above.
fn paths_upwards(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("\"../").map(|(start, _)| start + 1);
    starts.filter_map(|start| text[start..].split('"').next())
}
