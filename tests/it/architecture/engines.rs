//! Scenario tests of modules run on both engines: none chooses one.

use super::paths::{Token, is, tokens};
use super::purity::collect_rust_files;
use super::{Result, root};

/// The lines that name SQLite without PostgreSQL beside it. An arm of a match chooses nothing.
fn chosen(tokens: &[Token]) -> Vec<usize> {
    let names = |at: usize, engine: &str| {
        is(tokens, at, "Engine") && is(tokens, at + 1, "::") && is(tokens, at + 2, engine)
    };
    let is_chosen = |at: &usize| {
        let is_pair = is(tokens, at + 3, ",") && names(at + 4, "Postgres");
        names(*at, "Sqlite") && !is_pair && !is(tokens, at + 3, "=")
    };
    (0..tokens.len()).filter(is_chosen).map(|at| tokens[at].line).collect()
}

#[test]
fn scenario_tests_run_on_both_engines() -> Result<()> {
    let mut files = Vec::new();
    collect_rust_files(&root().join("domains"), &mut files)?;
    let mut problems = Vec::new();
    for file in files {
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let source = std::fs::read_to_string(&file)?;
        problems.extend(chosen(&tokens(&source)).into_iter().map(|line| {
            format!(
                "{shown}:{line}: take the engine as \
                 `#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine`"
            )
        }));
    }

    assert!(problems.is_empty(), "tests on one engine:\n{}", problems.join("\n"));
    Ok(())
}

#[test]
fn a_test_that_chooses_an_engine_is_named() {
    let lines = |source: &str| chosen(&tokens(source));
    assert_eq!(lines("\nlet world = World::new(Engine::Sqlite).await;"), [2]);
    assert_eq!(lines("TestTables::on(database::Engine::Sqlite)"), [1]);
    for source in [
        "#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine",
        "match engine { Engine::Sqlite => 1, Engine::Postgres => 2 }",
        "// World::new(Engine::Sqlite)",
    ] {
        assert_eq!(lines(source), [0; 0], "{source}");
    }
}
