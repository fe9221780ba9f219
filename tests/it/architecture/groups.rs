//! The files of a large crate stand in groups: folders of `src/`, in an order. A group uses only those
//! before it, so that the crate can be read from the first to the last; and no two files use each
//! other, however many stand between them.

use std::path::Path;

use super::files::{Modules, Use, circles};
use super::{Result, root};

/// The crates whose files stand in groups, each with its groups from the ground up.
const GROUPED: &[(&str, &[&str])] = &[
    ("crates/kernel", &["log", "authoring", "runtime"]),
    ("crates/program", &["values", "configuration", "system", "describe", "serve", "commands"]),
];

/// The crates without circles of files.
const WITHOUT_CIRCLES: &[&str] = &["crates/kernel", "crates/module", "crates/program"];

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
        let uses = Modules::read(&source)?.uses();
        assert!(uses.len() > 100, "{} uses in {package}: they are written otherwise", uses.len());
        problems
            .extend(upward(&uses, groups).into_iter().map(|one| format!("{package}/src/{one}")));
    }
    assert!(problems.is_empty(), "arrows upwards:\n{}", problems.join("\n"));
    Ok(())
}

#[test]
fn no_files_use_each_other_in_a_circle() -> Result<()> {
    let mut problems = Vec::new();
    for package in WITHOUT_CIRCLES {
        let uses = Modules::read(&root().join(package).join("src"))?.uses();
        problems
            .extend(circles(&uses).into_iter().map(|circle| format!("{package}/src: {circle}")));
    }
    assert!(problems.is_empty(), "circles of files:\n{}", problems.join("\n"));
    Ok(())
}

/// One line per use of a file in a group above the one that uses it.
fn upward(uses: &[Use], groups: &[&str]) -> Vec<String> {
    let rank = |file: &Path| {
        let stem = file.with_extension("");
        let group = stem.iter().next()?;
        groups.iter().position(|name| group == *name)
    };
    let leads_up = uses.iter().filter_map(|one| {
        let (from, to) = (rank(&one.from)?, rank(&one.to)?);
        (to > from).then(|| {
            format!(
                "{}:{}: `{}` uses `{}`, which stands above it: move what is needed down",
                one.from.display(),
                one.line,
                groups[from],
                groups[to]
            )
        })
    });
    leads_up.collect()
}

#[test]
fn an_arrow_upwards_is_named() {
    let groups = ["values", "system", "commands"];
    let problems = |source: &str| {
        let mut modules = Modules::default();
        for (file, text) in [
            ("lib.rs", "mod values; mod system; mod commands; pub use commands::run;"),
            ("system.rs", "pub mod opening;"),
            ("system/opening.rs", "pub struct Opening;"),
            ("commands.rs", "pub fn run() {}"),
            ("values/output.rs", &format!("struct Output;\n{source}")),
            ("values.rs", "mod output;"),
        ] {
            modules.add(Path::new(file), text);
        }
        upward(&modules.uses(), &groups)
    };
    for source in [
        "use crate::system::opening::Opening;",
        "fn f() { crate::commands::run() }",
        "use crate::run;",
        "mod tests { use crate::commands::run; fn f() {} }",
    ] {
        let problems = problems(source);
        assert_eq!(problems.len(), 1, "{source}: {problems:?}");
        assert!(problems[0].starts_with("values/output.rs:2: `values` uses"), "{problems:?}");
    }
    for source in
        ["use crate::values::output;", "use system::opening;", "// crate::system::opening::Opening"]
    {
        assert_eq!(problems(source), Vec::<String>::new(), "{source}");
    }
}
