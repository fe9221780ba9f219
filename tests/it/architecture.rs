//! The rules of the workspace, checked: which crate may depend on which, that the `domain/` folders
//! stay pure, that every SQL statement is one that a test prepares, and that modules are tested on both
//! engines. The checks are functions over plain data, so that further tests here show that they catch
//! what they are for.

mod engines;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The business modules. Each comes with `<module>-contract`.
const MODULES: &[&str] = &["billing", "customers", "orders", "payments"];

/// What every module may use of the workspace, beside contracts.
const MODULES_MAY_USE: &[&str] = &["bascule-http", "database", "event-contract", "kernel"];

/// The crates under the modules, each with what it may use of the workspace.
const INFRASTRUCTURE: &[(&str, &[&str])] = &[
    ("event-contract", &[]),
    ("kernel", &["event-contract"]),
    ("database", &["kernel"]),
    ("store-sqlx", &["database", "kernel"]),
    ("bascule-http", &["database", "kernel"]),
    ("capture", &["database", "kernel"]),
    ("store-eventstoredb", &["kernel"]),
    ("wire", &["kernel"]),
    ("testkit", &["bascule-http", "database", "event-contract", "kernel", "store-sqlx"]),
];

/// What a contract may use from outside the workspace: whoever reads our events takes these along.
const CONTRACTS_MAY_USE: &[&str] =
    &["chrono", "rust_decimal", "schemars", "serde", "serde_json", "uuid"];

/// What the kernel must not know: which database and which web server there is.
const KERNEL_MUST_NOT_USE: &[&str] = &["sqlx", "actix"];

/// What a domain must not name. A path stands for everything below it.
const DOMAIN_MUST_NOT_USE: &[&str] =
    &["actix", "reqwest", "sqlx", "tokio", "std::fs", "std::net", "std::time::Instant"];

#[test]
fn crates_depend_only_on_what_the_architecture_allows() -> Result<()> {
    let packages = workspace_packages()?;

    for module in MODULES {
        for name in [(*module).to_owned(), format!("{module}-contract")] {
            assert!(packages.contains_key(&name), "there is no crate `{name}` any more");
        }
    }
    let problems = illegal_dependencies(&packages);

    assert!(problems.is_empty(), "illegal dependencies:\n{}", problems.join("\n"));
    Ok(())
}

#[test]
fn domains_do_no_io() -> Result<()> {
    let mut problems = Vec::new();
    for module in MODULES {
        let files = domain_files(module)?;
        assert!(!files.is_empty(), "domains/{module}/src/domain/ has no source: it must be there");
        for file in files {
            let source = std::fs::read_to_string(&file)?;
            let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            problems.extend(impurities(&shown, &source));
        }
    }

    assert!(problems.is_empty(), "impure domains:\n{}", problems.join("\n"));
    Ok(())
}

// --- crates ---------------------------------------------------------------------------------------

/// A crate of the workspace: the names of the packages it depends on, except in tests.
type Packages = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The crates as their manifests state them.
fn workspace_packages() -> Result<Packages> {
    let metadata =
        MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let dependencies = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), dependencies.collect())
        })
        .collect())
}

/// One line per dependency that the rule forbids, naming it and what to do instead.
fn illegal_dependencies(packages: &Packages) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, dependencies) in packages {
        let Some(allowed) = allowed_within_workspace(package) else {
            problems.push(format!(
                "`{package}` is not in the architecture: add it to MODULES or INFRASTRUCTURE in \
                 tests/it/architecture.rs, with what it may depend on"
            ));
            continue;
        };
        for dependency in dependencies {
            let problem = if packages.contains_key(dependency) {
                (!allowed.permits(dependency)).then(|| fix_within_workspace(package, dependency))
            } else {
                illegal_external(package, dependency)
            };
            if let Some(fix) = problem {
                problems.push(format!("`{package}` -> `{dependency}`: {fix}"));
            }
        }
    }
    problems
}

/// What a crate may use of the workspace.
enum Allowed {
    /// Everything but what only tests use: the composition root.
    AllButTests,
    Only(BTreeSet<String>),
}

impl Allowed {
    fn permits(&self, dependency: &str) -> bool {
        match self {
            Self::AllButTests => dependency != "testkit",
            Self::Only(names) => names.contains(dependency),
        }
    }
}

/// What `package` may use of the workspace; none if the architecture does not know it.
fn allowed_within_workspace(package: &str) -> Option<Allowed> {
    if package == "bascule" {
        return Some(Allowed::AllButTests);
    }
    if MODULES.contains(&package) {
        let contracts = MODULES.iter().map(|module| format!("{module}-contract"));
        let shared = MODULES_MAY_USE.iter().map(|name| (*name).to_owned());
        return Some(Allowed::Only(contracts.chain(shared).collect()));
    }
    if is_contract(package) {
        return Some(Allowed::Only(BTreeSet::from(["event-contract".to_owned()])));
    }
    INFRASTRUCTURE
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| Allowed::Only(allowed.iter().map(|name| (*name).to_owned()).collect()))
}

fn is_contract(package: &str) -> bool {
    package.strip_suffix("-contract").is_some_and(|module| MODULES.contains(&module))
}

fn fix_within_workspace(package: &str, dependency: &str) -> String {
    if dependency == "testkit" {
        return "it is for tests: move it to [dev-dependencies]".to_owned();
    }
    if is_contract(package) {
        return "a contract holds the published events and ids, nothing else: move what needs this \
                into the module"
            .to_owned();
    }
    if MODULES.contains(&package) && MODULES.contains(&dependency) {
        return format!(
            "modules know each other by their events only: depend on `{dependency}-contract` and \
             keep what is needed in a read model of `{package}`"
        );
    }
    if MODULES.contains(&package) {
        return "a module is written against the ports in `kernel` and `database`: let \
                src/compose.rs hand it the implementation"
            .to_owned();
    }
    "it is not in INFRASTRUCTURE in tests/it/architecture.rs: turn the dependency round, or \
     change that list together with docs/architecture.md"
        .to_owned()
}

fn illegal_external(package: &str, dependency: &str) -> Option<String> {
    if (is_contract(package) || package == "event-contract")
        && !CONTRACTS_MAY_USE.contains(&dependency)
    {
        return Some(format!(
            "a contract may use only {}: whoever reads its events takes its dependencies along",
            CONTRACTS_MAY_USE.join(", ")
        ));
    }
    if package == "kernel" && KERNEL_MUST_NOT_USE.iter().any(|name| dependency.starts_with(name)) {
        return Some("the kernel defines ports: put this behind one, in a crate of its own".into());
    }
    None
}

// --- domains --------------------------------------------------------------------------------------

/// The Rust files of a module's domain: `src/domain.rs` and everything in `src/domain/`.
fn domain_files(module: &str) -> Result<Vec<PathBuf>> {
    let source = root().join("domains").join(module).join("src");
    let mut files = Vec::new();
    if source.join("domain.rs").exists() {
        files.push(source.join("domain.rs"));
    }
    if source.join("domain").exists() {
        collect_rust_files(&source.join("domain"), &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
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

/// A path as the source names it.
#[derive(Debug, PartialEq)]
struct Mention {
    line: usize,
    segments: Vec<String>,
    imported: bool,
}

impl Mention {
    /// Whether this is `banned` or something below it; an import also when it brings a parent of
    /// it into scope, through which it could be named unseen.
    fn touches(&self, banned: &str) -> bool {
        let banned: Vec<&str> = banned.split("::").collect();
        let named: Vec<&str> =
            self.segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
        let is_below = named.len() >= banned.len()
            && same_crate(named[0], banned[0])
            && named[1..banned.len()] == banned[1..];
        let is_parent = self.imported && named.len() < banned.len() && banned.starts_with(&named);
        is_below || is_parent
    }
}

/// `actix` stands for `actix_web` and its other crates too.
fn same_crate(named: &str, banned: &str) -> bool {
    named.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[derive(Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// Every path of two segments or more, and every import, groups and renamings resolved.
fn mentioned_paths(tokens: &[Token]) -> Vec<Mention> {
    let mut mentions = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        if text == "use" {
            at = imports(tokens, at + 1, &[], &mut mentions);
        } else if text == "extern" && is(tokens, at + 1, "crate") {
            at = imports(tokens, at + 2, &[], &mut mentions);
        } else if is_name(text) {
            let line = tokens[at].line;
            let mut segments = vec![text.to_owned()];
            while is(tokens, at + 1, "::") && tokens.get(at + 2).is_some_and(|t| is_name(&t.text)) {
                segments.push(tokens[at + 2].text.clone());
                at += 2;
            }
            if segments.len() > 1 {
                mentions.push(Mention { line, segments, imported: false });
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    mentions
}

/// Reads one tree of a `use` from `at`; returns where it ends.
fn imports(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    mentions: &mut Vec<Mention>,
) -> usize {
    let mut segments = prefix.to_vec();
    let mut line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && !is(tokens, at, "}") {
                    let start = at;
                    at = imports(tokens, at, &segments, mentions);
                    if is(tokens, at, ",") || at == start {
                        at += 1;
                    }
                }
                return at + 1;
            }
            // What it is called here does not matter.
            "as" => at += 2,
            "self" if !segments.is_empty() => at += 1,
            name if is_name(name) || name == "*" => {
                line = token.line;
                segments.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    if !segments.is_empty() {
        mentions.push(Mention { line, segments, imported: true });
    }
    at
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// The names and signs of Rust source; comments and the contents of literals are left out. Of a string its
/// first word stays, behind a quote.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let text = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                at = end_of_line(&chars, at);
                None
            }
            '/' if chars.get(at + 1) == Some(&'*') => {
                at = end_of_block_comment(&chars, at);
                None
            }
            '"' => {
                at = end_of_string(&chars, at);
                let content = chars[start + 1..at].iter();
                let word = content
                    .skip_while(|c| !c.is_alphanumeric())
                    .take_while(|c| c.is_alphanumeric());
                Some(format!("\"{}", word.collect::<String>()))
            }
            '\'' => {
                at = end_of_character(&chars, at);
                None
            }
            c if c == '_' || c.is_alphanumeric() => {
                while at < chars.len() && (chars[at] == '_' || chars[at].is_alphanumeric()) {
                    at += 1;
                }
                let name: String = chars[start..at].iter().collect();
                match end_of_raw_string(&chars, at, &name) {
                    Some(end) => {
                        at = end;
                        None
                    }
                    None => Some(name),
                }
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                at += 2;
                Some("::".to_owned())
            }
            c => {
                at += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        if let Some(text) = text {
            found.push(Token { line, text });
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

/// Block comments nest.
fn end_of_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A quote begins a character or a lifetime; of a lifetime only the quote is passed over.
fn end_of_character(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let closing = chars.iter().skip(at + 3).position(|c| *c == '\'');
        return closing.map_or(chars.len(), |length| at + 3 + length + 1);
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// Where the raw string ends that `prefix`, just read, begins; none if it begins none.
fn end_of_raw_string(chars: &[char], at: usize, prefix: &str) -> Option<usize> {
    if !matches!(prefix, "r" | "br" | "cr") {
        return None;
    }
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + hashes + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        end += 1;
        if closes {
            return Some(end + hashes);
        }
    }
    Some(end)
}

// --- the checks are checked -----------------------------------------------------------------------

/// A workspace that keeps the rule, with these dependencies added.
fn workspace_with(additions: &[(&str, &str)]) -> Packages {
    let mut packages = Packages::new();
    for (name, allowed) in INFRASTRUCTURE {
        let allowed = allowed.iter().map(|name| (*name).to_owned());
        packages.insert((*name).to_owned(), allowed.collect());
    }
    for module in MODULES {
        let contract = format!("{module}-contract");
        packages.insert(contract.clone(), BTreeSet::from(["event-contract".to_owned()]));
        packages.insert((*module).to_owned(), BTreeSet::from([contract, "kernel".to_owned()]));
    }
    packages.insert("bascule".to_owned(), MODULES.iter().map(|name| (*name).to_owned()).collect());
    for (package, dependency) in additions {
        packages.entry((*package).to_owned()).or_default().insert((*dependency).to_owned());
    }
    packages
}

#[test]
fn an_illegal_dependency_is_named_with_its_fix() {
    assert_eq!(illegal_dependencies(&workspace_with(&[])), Vec::<String>::new());
    assert_eq!(
        illegal_dependencies(&workspace_with(&[
            ("billing", "orders-contract"),
            ("orders", "actix-web"),
            ("orders-contract", "chrono"),
            ("bascule", "store-sqlx"),
        ])),
        Vec::<String>::new()
    );

    for (package, dependency, fix) in [
        ("billing", "orders", "depend on `orders-contract`"),
        ("billing", "store-sqlx", "src/compose.rs"),
        ("billing", "testkit", "[dev-dependencies]"),
        ("bascule", "testkit", "[dev-dependencies]"),
        ("orders-contract", "kernel", "published events"),
        ("orders-contract", "customers-contract", "published events"),
        ("orders-contract", "sqlx", "may use only chrono"),
        ("event-contract", "tokio", "may use only chrono"),
        ("kernel", "database", "INFRASTRUCTURE"),
        ("kernel", "actix-web", "ports"),
        ("unheard-of", "serde", "is not in the architecture"),
    ] {
        let problems = illegal_dependencies(&workspace_with(&[(package, dependency)]));
        assert_eq!(problems.len(), 1, "`{package}` -> `{dependency}`: {problems:?}");
        assert!(problems[0].contains(package) && problems[0].contains(fix), "{problems:?}");
    }
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
