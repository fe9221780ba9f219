//! The examples of `docs/mapping.md`, run as they stand there: lines of ```jq blocks,
//! `program  # result` or `program  # error: text`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mapping.md");
    std::fs::read_to_string(page).unwrap()
}

fn examples(page: &str) -> Vec<(usize, &str, &str)> {
    let mut inside = false;
    let mut examples = Vec::new();
    for (number, line) in page.lines().enumerate() {
        match line.trim() {
            "```jq" => inside = true,
            "```" => inside = false,
            "" => {}
            line if inside => {
                let (program, result) = line
                    .rsplit_once("  # ")
                    .unwrap_or_else(|| panic!("line {}: no result: {line}", number + 1));
                examples.push((number + 1, program.trim(), result.trim()));
            }
            _ => {}
        }
    }
    examples
}

#[test]
fn the_examples_of_the_page_give_what_it_says() {
    let limits = Limits { steps: 200_000, time: Duration::from_secs(60), size: 1 << 20 };
    let stack = 256 << 20;
    let run = move || {
        for (line, program, result) in examples(&page()) {
            let compiled = Program::compile("", program, "gescom", limits);
            let answer = compiled.map_err(|error| error.to_string()).and_then(|compiled| {
                compiled.run(Val::Null, stack).map_err(|error| error.to_string())
            });
            match (answer, result.strip_prefix("error: ")) {
                (Err(found), Some(expected)) => {
                    assert!(found.ends_with(expected), "line {line}: {program}: {found}");
                }
                (Ok(found), None) => {
                    let expected: Value = serde_json::from_str(result)
                        .unwrap_or_else(|_| panic!("line {line}: {result} is not JSON"));
                    assert_eq!(found, expected, "line {line}: {program}");
                }
                (found, _) => panic!("line {line}: {program}: {found:?}"),
            }
        }
    };
    std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap();
}

#[test]
fn the_toml_of_the_page_stands_in_the_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let examples: Vec<String> = ["gescom", "boutique", "tryton"]
        .map(|name| std::fs::read_to_string(folder.join(name).join("mapping.toml")).unwrap())
        .into();
    let page = page();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).collect();
    assert!(blocks.len() > 10);
    for block in blocks {
        let block = block.split("```").next().unwrap();
        let wanted: Vec<&str> =
            block.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // The lines stand there in this order; the page may leave some out.
        let has = |example: &String| {
            let mut lines = example.lines().map(str::trim);
            wanted.iter().all(|wanted| lines.any(|line| line == *wanted))
        };
        assert!(examples.iter().any(has), "no example has:\n{block}");
    }
}

#[test]
fn every_filter_of_ours_has_an_example() {
    let page = page();
    let programs: Vec<&str> = examples(&page).into_iter().map(|(_, program, _)| program).collect();
    let names: BTreeSet<&str> =
        natives::names().chain(["test", "sub", "gsub", "capture", "scan"]).collect();
    for name in names {
        let called = |program: &&str| {
            program
                .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
                .any(|word| word == name)
        };
        assert!(programs.iter().any(called), "{name} has no example in docs/mapping.md");
    }
}
