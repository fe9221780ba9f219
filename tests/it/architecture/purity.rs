//! The `domain/` folders do no I/O, and know neither clock nor database.

use std::path::{Path, PathBuf};

use super::paths::{mentioned_paths, tokens};
use super::{Result, modules, root};

/// What a domain must not name. A path stands for everything below it.
const DOMAIN_MUST_NOT_USE: &[&str] =
    &["actix", "reqwest", "sqlx", "tokio", "std::fs", "std::net", "std::time::Instant"];

#[test]
fn domains_do_no_io() -> Result<()> {
    let mut problems = Vec::new();
    for module in modules()? {
        let files = domain_files(&module)?;
        assert!(!files.is_empty(), "{module}/src/domain/ has no source: it must be there");
        for file in files {
            let source = std::fs::read_to_string(&file)?;
            let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            problems.extend(impurities(&shown, &source));
        }
    }

    assert!(problems.is_empty(), "impure domains:\n{}", problems.join("\n"));
    Ok(())
}

/// The Rust files of a module's domain: `src/domain.rs` and everything in `src/domain/`.
fn domain_files(module: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["domains", "samples"] {
        let source = root().join(folder).join(module).join("src");
        if source.join("domain.rs").exists() {
            files.push(source.join("domain.rs"));
        }
        if source.join("domain").exists() {
            collect_rust_files(&source.join("domain"), &mut files)?;
        }
    }
    files.sort();
    Ok(files)
}

/// Adds the Rust files in a folder and below it.
pub fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// One line per path in `source` that a domain must not name, with what to do instead.
fn impurities(file: &str, source: &str) -> Vec<String> {
    mentioned_paths(&tokens(source))
        .into_iter()
        .filter(|mention| DOMAIN_MUST_NOT_USE.iter().any(|banned| mention.touches(banned)))
        .map(|mention| {
            format!(
                "{file}:{}: `{}`: a domain is pure: do this outside of domain/ and hand it the \
                 result, in the command or in `Context`",
                mention.line,
                mention.segments.join("::")
            )
        })
        .collect()
}

#[test]
fn an_impure_line_of_a_domain_is_named() {
    for source in [
        "use sqlx::SqlitePool;",
        "use tokio;",
        "pub(crate) use actix_web::{web, HttpResponse as Answer};",
        "use {serde::Serialize, tokio::{sync::Mutex}};",
        "use std::{collections::BTreeMap, fs};",
        "use std::fs::{self, File};",
        "use std::time::{Duration, Instant as Now};",
        "use std::time;",
        "use std::time::*;",
        "use ::std::net::TcpStream;",
        "extern crate sqlx;",
        "#[tokio::test]",
        "fn f<'a>(c: char) -> bool { c == '\\'' && std::fs::exists(\"x\").is_ok() }",
        "fn f() { let quote = '\"'; let now = std::time::Instant::now(); }",
        "type Client = reqwest::Client;",
    ] {
        let problems = impurities("domain/order.rs", &format!("//! An order.\n\n{source}\n"));
        assert!(!problems.is_empty(), "{source}: passed");
        let all_at_its_line = problems.iter().all(|p| p.starts_with("domain/order.rs:3: "));
        assert!(all_at_its_line, "{problems:?}");
    }
}

#[test]
fn a_pure_line_of_a_domain_passes() {
    for source in [
        "use std::time::Duration;",
        "use std::collections::{BTreeMap, BTreeSet};",
        "use super::{basket::Basket, Order};",
        "use kernel::tokio_free::Context;",
        "// use sqlx::SqlitePool;",
        "/* outer /* sqlx::query */ tokio::spawn */",
        "const TEXT: &str = \"tokio::spawn \\\" std::fs::read\";",
        "const RAW: &str = r#\"use sqlx; \" tokio::spawn\"#;",
        "let limit = std::time::Duration::from_secs(1);",
        "struct Tokioesque; let sqlx_free = true;",
    ] {
        assert_eq!(impurities("domain.rs", source), Vec::<String>::new(), "{source}");
    }
}
