//! Rules of the source code, checked: which crate may depend on which, that the groups of files within a
//! crate depend one way and no files use each other in a circle ([`groups`]), that the `domain/` folders
//! stay pure ([`purity`]), that every SQL statement is one that a test prepares ([`statements`]), that
//! modules are tested on both engines ([`engines`]), that the page for operators lists every outage
//! ([`outages`]), and that the tour of the architecture leads to code that exists ([`tour`]). The checks are functions over plain data, so that further tests here show that they
//! catch what they are for.

mod engines;
mod files;
mod groups;
mod outages;
mod paths;
mod purity;
mod statements;
mod tour;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;

use cargo_metadata::{DependencyKind, MetadataCommand};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CONTRACT: &str = "-contract";

/// The binaries that are a list of modules.
const BINARIES: &[&str] = &["bascule", "sample-shop"];

/// What every module may use of the workspace, beside contracts.
const MODULES_MAY_USE: &[&str] = &["web-api", "database", "event-contract", "kernel", "module"];

/// The crates that are no modules the modules, each with what it may use of the workspace.
const INFRASTRUCTURE: &[(&str, &[&str])] = &[
    ("event-contract", &[]),
    ("kernel", &["event-contract"]),
    ("database", &["kernel"]),
    ("store-sqlx", &["database", "kernel"]),
    ("web-api", &["database", "event-contract", "kernel"]),
    ("module", &["web-api", "database", "event-contract", "kernel"]),
    ("capture", &["customers-contract", "database", "event-contract", "kernel", "module"]),
    ("store-eventstoredb", &["kernel"]),
    ("wire", &["kernel"]),
    ("testkit", &["web-api", "database", "event-contract", "kernel", "module", "store-sqlx"]),
    (
        "program",
        &[
            "web-api",
            "capture",
            "customers-contract",
            "database",
            "event-contract",
            "kernel",
            "module",
            "store-eventstoredb",
            "store-sqlx",
            "wire",
        ],
    ),
    (
        "bench",
        &[
            "database",
            "kernel",
            "module",
            "orders",
            "orders-contract",
            "store-eventstoredb",
            "store-sqlx",
        ],
    ),
];

/// What a contract may use from outside the workspace: whoever reads our events takes these along.
const CONTRACTS_MAY_USE: &[&str] =
    &["chrono", "rust_decimal", "schemars", "serde", "serde_json", "uuid"];

/// What the kernel must not know: which database and which web server there is.
const KERNEL_MUST_NOT_USE: &[&str] = &["sqlx", "actix"];

#[test]
fn crates_depend_only_on_what_the_architecture_allows() -> Result<()> {
    let packages = workspace_packages()?;

    let modules = modules()?;
    assert!(modules.len() >= 4, "there are only {modules:?}");
    let problems = illegal_dependencies(&packages, &modules);

    assert!(problems.is_empty(), "illegal dependencies:\n{}", problems.join("\n"));
    Ok(())
}

// --- crates ---------------------------------------------------------------------------------------

/// A crate of the workspace: the names of the packages it depends on, except in tests.
type Packages = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The modules: the folders with a contract in `domains/`, and the sample.
fn modules() -> Result<BTreeSet<String>> {
    let mut modules = BTreeSet::new();
    for folder in ["domains", "samples"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let entry = entry?;
            if entry.path().join("contract/Cargo.toml").is_file() {
                let name = entry.file_name().into_string();
                modules.insert(name.map_err(|_| "a name of another kind")?);
            }
        }
    }
    Ok(modules)
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
fn illegal_dependencies(packages: &Packages, modules: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, dependencies) in packages {
        let Some(allowed) = allowed_within_workspace(package, modules) else {
            problems.push(format!(
                "`{package}` is not in the architecture: a module is a folder of domains/; add any other \
                 crate to INFRASTRUCTURE in tests/it/architecture/mod.rs, with what it may depend on"
            ));
            continue;
        };
        for dependency in dependencies {
            let problem = if packages.contains_key(dependency) {
                (!allowed.permits(dependency))
                    .then(|| fix_within_workspace(package, dependency, modules))
            } else {
                illegal_external(package, dependency, modules)
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
fn allowed_within_workspace(package: &str, modules: &BTreeSet<String>) -> Option<Allowed> {
    if BINARIES.contains(&package) {
        return Some(Allowed::AllButTests);
    }
    if modules.contains(package) {
        let contracts = modules.iter().map(|module| format!("{module}-contract"));
        let shared = MODULES_MAY_USE.iter().map(|name| (*name).to_owned());
        return Some(Allowed::Only(contracts.chain(shared).collect()));
    }
    if is_contract(package, modules) {
        return Some(Allowed::Only(BTreeSet::from(["event-contract".to_owned()])));
    }
    INFRASTRUCTURE
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| Allowed::Only(allowed.iter().map(|name| (*name).to_owned()).collect()))
}

fn is_contract(package: &str, modules: &BTreeSet<String>) -> bool {
    package.strip_suffix(CONTRACT).is_some_and(|module| modules.contains(module))
}

fn fix_within_workspace(package: &str, dependency: &str, modules: &BTreeSet<String>) -> String {
    if dependency == "testkit" {
        return "it is for tests: move it to [dev-dependencies]".to_owned();
    }
    if is_contract(package, modules) {
        return "a contract holds the published events and ids, nothing else: move what needs this \
                into the module"
            .to_owned();
    }
    if modules.contains(package) && modules.contains(dependency) {
        return format!(
            "modules know each other by their events only: depend on `{dependency}-contract` and \
             keep what is needed in a read model of `{package}`"
        );
    }
    if modules.contains(package) {
        return "a module is written against the ports in `kernel` and `database`: crates/program \
                hands it the implementation"
            .to_owned();
    }
    "it is not in INFRASTRUCTURE in tests/it/architecture/mod.rs: turn the dependency round, or \
     change that list together with docs/architecture.md"
        .to_owned()
}

fn illegal_external(package: &str, dependency: &str, modules: &BTreeSet<String>) -> Option<String> {
    if (is_contract(package, modules) || package == "event-contract")
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

// --- the checks are checked -----------------------------------------------------------------------

/// The modules of a workspace that keeps the rule.
const SAMPLE: &[&str] = &["billing", "customers", "orders", "payments"];

fn sample() -> BTreeSet<String> {
    SAMPLE.iter().map(|name| (*name).to_owned()).collect()
}

/// A workspace that keeps the rule, with these dependencies added.
fn workspace_with(additions: &[(&str, &str)]) -> Packages {
    let mut packages = Packages::new();
    for (name, allowed) in INFRASTRUCTURE {
        let allowed = allowed.iter().map(|name| (*name).to_owned());
        packages.insert((*name).to_owned(), allowed.collect());
    }
    for module in SAMPLE {
        let contract = format!("{module}-contract");
        packages.insert(contract.clone(), BTreeSet::from(["event-contract".to_owned()]));
        packages.insert((*module).to_owned(), BTreeSet::from([contract, "kernel".to_owned()]));
    }
    packages.insert("bascule".to_owned(), SAMPLE.iter().map(|name| (*name).to_owned()).collect());
    for (package, dependency) in additions {
        packages.entry((*package).to_owned()).or_default().insert((*dependency).to_owned());
    }
    packages
}

#[test]
fn an_illegal_dependency_is_named_with_its_fix() {
    assert_eq!(illegal_dependencies(&workspace_with(&[]), &sample()), Vec::<String>::new());
    assert_eq!(
        illegal_dependencies(
            &workspace_with(&[
                ("billing", "orders-contract"),
                ("orders", "actix-web"),
                ("orders-contract", "chrono"),
                ("bascule", "store-sqlx"),
            ]),
            &sample()
        ),
        Vec::<String>::new()
    );

    for (package, dependency, fix) in [
        ("billing", "orders", "depend on `orders-contract`"),
        ("billing", "store-sqlx", "crates/program"),
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
        let problems = illegal_dependencies(&workspace_with(&[(package, dependency)]), &sample());
        assert_eq!(problems.len(), 1, "`{package}` -> `{dependency}`: {problems:?}");
        assert!(problems[0].contains(package) && problems[0].contains(fix), "{problems:?}");
    }
}
