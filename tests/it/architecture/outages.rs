//! The names of outages are labels that alarms refer to: each names one outage, and the page for
//! operators lists it with its log line.

use std::collections::BTreeSet;

use super::purity::collect_rust_files;
use super::{Result, root};

/// Returns the names and log lines of the outages that a source file creates.
fn created(source: &str) -> Vec<(String, String)> {
    let calls = ["Outage::new(", "Outage::severe("];
    let arguments = calls.iter().flat_map(|call| source.split(call).skip(1));
    arguments.filter_map(name_and_text).collect()
}

/// Returns the two texts that the arguments of a call begin with.
fn name_and_text(arguments: &str) -> Option<(String, String)> {
    let (name, rest) = arguments.trim_start().strip_prefix('"')?.split_once('"')?;
    let rest = rest.trim_start().strip_prefix(',')?;
    let (text, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    Some((name.to_owned(), text.to_owned()))
}

/// Returns the rows of the table in the page for operators.
fn listed(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| `outage` |")).skip(2);
    rows.map_while(|row| {
        let (name, text) = row.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
        Some((name.to_owned(), text.to_owned()))
    })
    .collect()
}

#[test]
fn operators_find_every_outage_by_its_name() -> Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "domains"] {
        collect_rust_files(&root().join(folder), &mut files)?;
    }
    // Its unit tests create outages too.
    files.retain(|file| !file.ends_with("kernel/src/log/outage.rs"));
    let mut outages = Vec::new();
    for file in files {
        outages.extend(created(&std::fs::read_to_string(&file)?));
    }
    outages.sort();
    let page = std::fs::read_to_string(root().join("docs/operations.md"))?;
    assert_eq!(outages, listed(&page), "the outages of the code, and those in docs/operations.md");
    let names: BTreeSet<&String> = outages.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), outages.len(), "two outages have one name");
    Ok(())
}

#[test]
fn an_outage_is_found_in_source_and_page() {
    let source = "static A: Outage =\n    Outage::new(\n  \"a_fails\",\n  \"a fails\",\n);";
    let page = "| `outage` | Log line |\n|---|---|\n| `a_fails` | a fails |\n\ntext";
    let expected = [("a_fails".to_owned(), "a fails".to_owned())];
    assert_eq!(created(source), expected);
    assert_eq!(listed(page), expected);
}
