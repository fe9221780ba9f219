//! The sources of a service: those of the system, with the features settled, and what they name
//! outside their crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::checkout::{Checkout, Crate};

/// What becomes of the features that the system consists of. Neither is asked for any more: what they
/// stood for is there, or is not.
#[derive(Debug)]
pub struct Features {
    /// Those that the service has.
    pub kept: BTreeSet<String>,
    /// Those that go, with all that is theirs.
    pub dropped: BTreeSet<String>,
}

impl Features {
    fn settles(&self, name: &str) -> bool {
        self.kept.contains(name) || self.dropped.contains(name)
    }
}

/// The source files of a package as they are in the service.
pub struct Sources {
    /// Rust, by the file that it was in.
    pub settled: BTreeMap<PathBuf, String>,
    /// Whatever else is among it, as it is.
    pub others: Vec<PathBuf>,
}

/// Settles features in the source files of a package.
pub fn settle(features: &Features, folder: &Path, files: Vec<PathBuf>) -> anyhow::Result<Sources> {
    let mut settled = BTreeMap::new();
    let mut others = Vec::new();
    let mut gone = Vec::new();
    for file in files {
        if file.extension().is_none_or(|extension| extension != "rs") {
            others.push(file);
            continue;
        }
        let shown = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
        let Settled { text, modules } = settle_text(features, &shown, &text)?;
        let submodules = submodules_of(&file)?;
        gone.extend(modules.iter().map(|module| submodules.join(module)));
        settled.insert(file, text);
    }
    // `foo.rs`, and what is in `foo/`.
    let stays = |file: &Path| {
        !gone.iter().any(|module| file.starts_with(module) || file == module.with_extension("rs"))
    };
    settled.retain(|file, _| stays(file));
    others.retain(|file| stays(file));
    Ok(Sources { settled, others })
}

/// Where the files of a file's modules are.
fn submodules_of(file: &Path) -> anyhow::Result<PathBuf> {
    let folder = file.parent().context("a file is in a folder")?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).context("a source has a name")?;
    Ok(if matches!(stem, "main" | "lib" | "mod") {
        folder.to_path_buf()
    } else {
        folder.join(stem)
    })
}

/// A source file without what was for other features.
struct Settled {
    text: String,
    /// The modules whose files go.
    modules: Vec<String>,
}

fn settle_text(features: &Features, file: &str, text: &str) -> anyhow::Result<Settled> {
    let mut kept: Vec<&str> = Vec::new();
    let mut modules = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let place = || format!("src/{file}, line {}", index + 1);
        let Some(feature) = asked_feature(features, line) else {
            kept.push(line);
            continue;
        };
        ensure!(
            line.trim() == format!("#[cfg(feature = \"{feature}\")]"),
            "{}: ask for `{feature}` with a #[cfg(feature = \"{feature}\")] alone on its line, before one line, so that it can be taken out",
            place()
        );
        if features.kept.contains(feature) {
            continue;
        }
        while kept.last().is_some_and(|line| belongs_to_next(line)) {
            kept.pop();
        }
        let follows_attribute = kept.last().is_some_and(|line| line.trim_end().ends_with(")]"));
        let item = lines.by_ref().map(|(_, line)| line).find(|line| !belongs_to_next(line));
        let Some(item) = item.filter(|item| is_whole(item) && !follows_attribute) else {
            bail!(
                "{}: what is for `{feature}` alone takes more than one line: put it into a file of its own, or let the registry have it",
                place()
            );
        };
        if let Some(module) = module_of(item) {
            modules.push(module.to_owned());
        }
    }
    let mut text = String::new();
    for (index, line) in kept.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| kept[before].trim());
        let next = kept.get(index + 1).map(|line| line.trim());
        // What stood between two items that are gone.
        let is_left = line.trim().is_empty()
            && (before.is_none_or(|before| before.is_empty() || before.ends_with('{'))
                || next.is_none_or(|next| next == "}"));
        if !is_left {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(Settled { text, modules })
}

/// The feature that a line asks for, of those that are settled. Comments ask for nothing.
fn asked_feature<'l>(features: &Features, line: &'l str) -> Option<&'l str> {
    let code = line.split("//").next().unwrap_or_default();
    if !code.contains("cfg") {
        return None;
    }
    let (_, after) = code.split_once("feature = \"")?;
    let (feature, _) = after.split_once('"')?;
    features.settles(feature).then_some(feature)
}

/// Whether a line is the documentation or an attribute of what comes after it.
fn belongs_to_next(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("///") || line.starts_with("#[")
}

/// Whether an item is a line.
fn is_whole(line: &str) -> bool {
    let balance = line.chars().fold(0, |depth, character| match character {
        '(' | '[' | '{' => depth + 1,
        ')' | ']' | '}' => depth - 1,
        _ => depth,
    });
    balance == 0 && line.ends_with([';', ','])
}

/// The module that an item declares.
fn module_of(item: &str) -> Option<&str> {
    let item = item.trim().strip_suffix(';')?;
    let (before, name) = item.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// The names in a text.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let is_other = |character: char| !character.is_alphanumeric() && character != '_';
    text.split(is_other).filter(|word| !word.is_empty()).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// The ports.
#[cfg(feature = "ports")]
pub mod ports;
#[cfg(feature = "ships")]
mod ships;

fn list() -> Vec<&'static str> {
    vec![
        #[cfg(feature = "ports")]
        ports::NAME,
        #[cfg(feature = "ships")]
        ships::NAME,
    ]
}

#[cfg(test)]
#[cfg(feature = "ports")]
mod tests;
"#;

    fn features() -> Features {
        Features {
            kept: BTreeSet::from(["ships".into()]),
            dropped: BTreeSet::from(["ports".into()]),
        }
    }

    #[test]
    fn what_is_for_others_goes_and_what_is_ours_is_not_asked_for_any_more() {
        let settled = settle_text(&features(), "main.rs", SOURCE).unwrap();
        let expected = "mod ships;

fn list() -> Vec<&'static str> {
    vec![
        ships::NAME,
    ]
}
";
        assert_eq!(settled.text, expected);
        assert_eq!(settled.modules, ["ports", "tests"]);
    }

    #[test]
    fn what_cannot_be_taken_out_is_refused() {
        let several = "#[cfg(feature = \"ports\")]\nfn ports() {\n}\n";
        let entangled = "\n#[cfg(all(test, feature = \"ships\"))]\nmod ships;\n";
        let attribute = "#[arg(\n    long\n)]\n#[cfg(feature = \"ports\")]\nports: bool,\n";
        for (source, complaint) in [
            (attribute, "src/main.rs, line 4: what is for `ports` alone takes more than one line"),
            (several, "src/main.rs, line 1: what is for `ports` alone takes more than one line"),
            (entangled, "src/main.rs, line 2: ask for `ships` with"),
        ] {
            let refused = settle_text(&features(), "main.rs", source).err().unwrap().to_string();
            assert!(refused.starts_with(complaint), "{refused}");
        }
        let other = "#[cfg(all(test, feature = \"network\"))]\nmod network;\n";
        assert_eq!(settle_text(&features(), "main.rs", other).unwrap().text, other);
    }
}
