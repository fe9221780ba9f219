//! The files of a large crate stand in groups: folders of `src/`, in an order. A group uses only those
//! before it, so that the crate can be read from the first to the last.

use std::path::Path;

use super::paths::{mentioned_paths, tokens};
use super::purity::collect_rust_files;
use super::{Result, root};

/// The crates whose files stand in groups, each with its groups from the ground up.
const GROUPED: &[(&str, &[&str])] =
    &[("crates/program", &["values", "configuration", "system", "describe", "serve", "commands"])];

#[test]
fn groups_of_files_depend_one_way() -> Result<()> {
    let mut problems = Vec::new();
    for (package, groups) in GROUPED {
        let source = root().join(package).join("src");
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&source)? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name != "lib" {
                folders.push(name);
            }
        }
        folders.sort_unstable();
        folders.dedup();
        let mut known = groups.to_vec();
        known.sort_unstable();
        assert_eq!(folders, known, "the groups of {package}: every file is in one");
        for (rank, group) in groups.iter().enumerate() {
            let mut files = Vec::new();
            collect_rust_files(&source.join(group), &mut files)?;
            let single = source.join(group).with_extension("rs");
            files.extend(single.exists().then_some(single));
            for file in files {
                let text = std::fs::read_to_string(&file)?;
                let shown = file.strip_prefix(root()).unwrap_or(&file);
                problems.extend(upward(shown, &text, group, &groups[rank + 1..]));
            }
        }
    }
    assert!(problems.is_empty(), "arrows upwards:\n{}", problems.join("\n"));
    Ok(())
}

/// One line per path of a file that leads to a group above its own.
fn upward(file: &Path, source: &str, group: &str, above: &[&str]) -> Vec<String> {
    let mentions = mentioned_paths(&tokens(source)).into_iter();
    let leads_up = mentions.filter_map(|mention| {
        let [from, to, ..] = &*mention.segments else { return None };
        (from == "crate" && above.contains(&to.as_str())).then(|| {
            format!(
                "{}:{}: `{group}` uses `{to}`, which stands above it: move what is needed down",
                file.display(),
                mention.line
            )
        })
    });
    leads_up.collect()
}

#[test]
fn an_arrow_upwards_is_named() {
    let file = Path::new("values/output.rs");
    let above = ["system", "commands"];
    for source in ["use crate::system::opening;", "fn f() { crate::commands::run() }"] {
        let problems = upward(file, source, "values", &above);
        assert_eq!(problems.len(), 1, "{source}: {problems:?}");
        assert!(problems[0].starts_with("values/output.rs:1: `values` uses"), "{problems:?}");
    }
    for source in ["use crate::values::output;", "use system::opening;", "// crate::system::open"] {
        assert_eq!(upward(file, source, "values", &above), Vec::<String>::new(), "{source}");
    }
}
