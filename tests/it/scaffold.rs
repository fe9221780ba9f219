//! `bascule extract <module> --scaffold`: what it writes, and what it refuses. That a service builds
//! and works is for `scripts/test-scaffold.sh` to see, which has the time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_metadata::MetadataCommand;
use tempfile::TempDir;

use crate::modules::modules;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The command, given somewhere: cargo and git are there, and no configuration is.
fn scaffold(module: &str, target: &Path, stand: &Path, more: &[&str]) -> Output {
    let mut bascule = Command::new(env!("CARGO_BIN_EXE_bascule"));
    bascule.current_dir(stand).args(["extract", module, "--scaffold"]).arg(target).args(more);
    bascule.output().unwrap()
}

fn written(module: &str, folder: &TempDir) -> PathBuf {
    let target = folder.path().join("services").join(module);
    let output = scaffold(module, &target, Path::new(ROOT), &[]);
    assert!(output.status.success(), "{output:?}");
    target
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn members(workspace: &Path) -> BTreeSet<String> {
    let manifest = workspace.join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let packages = metadata.workspace_packages().into_iter();
    packages.map(|package| package.name.to_string()).collect()
}

/// Whether a line has a path that begins with a crate's name.
fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(start, _)| {
        !line[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn a_service_has_nothing_of_other_modules_but_contracts() {
    for module in modules() {
        has_nothing_of_others(&module);
    }
}

#[track_caller]
fn has_nothing_of_others(module: &str) {
    let folder = tempfile::tempdir().unwrap();
    let workspace = written(module, &folder);

    let members = members(&workspace);
    for name in [module.to_owned(), format!("{module}-contract"), "bascule".to_owned()] {
        assert!(members.contains(&name), "{name} is not among {members:?}");
    }
    let others = modules().into_iter().filter(|other| other != module);
    let files = files(&workspace);
    for other in others {
        assert!(!members.contains(&other), "{members:?}");
        for file in &files {
            let shown = file.strip_prefix(&workspace).unwrap();
            let is_of_other = shown.components().any(|part| part.as_os_str() == other.as_str());
            let is_contract = shown.starts_with(format!("domains/{other}/contract"));
            assert!(!is_of_other || is_contract, "{}", shown.display());
            assert!(!shown.ends_with(format!("{other}.rs")), "{}", shown.display());
            if shown.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(file).unwrap();
                let named = source.lines().find(|line| names_crate(line, &other));
                assert_eq!(named, None, "{}", shown.display());
            }
        }
    }

    // The versions are the system's, and cargo finds nothing to change.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let arguments = ["tree", "--locked", "--offline", "--workspace", "--quiet"];
    let output = cargo.current_dir(&workspace).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let locked = |folder: &Path| -> BTreeSet<(String, String)> {
        let text = std::fs::read_to_string(folder.join("Cargo.lock")).unwrap();
        let lock: toml::Table = toml::from_str(&text).unwrap();
        let field = |package: &toml::Value, name| package[name].as_str().unwrap().to_owned();
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|package| (field(package, "name"), field(package, "version"))).collect()
    };
    assert!(locked(&workspace).is_subset(&locked(Path::new(ROOT))));
}

#[test]
fn the_service_of_payments_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = written("payments", &folder);
    let expected = [
        "bascule",
        "web-api",
        "billing-contract",
        "customers-contract",
        "database",
        "event-contract",
        "kernel",
        "module",
        "payments",
        "payments-contract",
        "program",
        "store-eventstoredb",
        "store-sqlx",
        "testkit",
        "wire",
    ];
    assert_eq!(members(&workspace), expected.map(str::to_owned).into());
    for file in [
        "LICENSE-MIT",
        "clippy.toml",
        "deny.toml",
        "docs/problems.md",
        "domains/billing/contract/golden/billing.InvoiceIssued.v1.json",
        "migrations/postgres/payments/sandbox/0100_sandbox.sql",
        "migrations/sqlite/event_store/0001_event_store.sql",
        "openapi/events/payments/PaymentCaptured.v1.schema.json",
        "rustfmt.toml",
        "scripts/with-postgres.sh",
    ] {
        assert!(workspace.join(file).is_file(), "{file} is missing");
    }
    let manifest = std::fs::read_to_string(workspace.join("Cargo.toml")).unwrap();
    for unused in ["jaq-core", "optional = true", "kurrentdb-", "capture", "[[test]]"] {
        assert!(!manifest.contains(unused), "{unused}:\n{manifest}");
    }
    assert!(manifest.contains("default = []"), "{manifest}");
    let main = std::fs::read_to_string(workspace.join("src/main.rs")).unwrap();
    assert!(main.contains("program::main(&[&payments::PaymentsModule::on_sandbox()])"), "{main}");
    let readme = std::fs::read_to_string(workspace.join("README.md")).unwrap();
    assert!(readme.contains(concat!("from bascule ", env!("CARGO_PKG_VERSION"))), "{readme}");
    assert!(readme.contains("bascule extract payments --from-admin"), "{readme}");
    assert!(!readme.contains("{m"), "{readme}");
}

#[test]
fn nothing_is_written_where_something_is_or_nothing_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("precious"), "mine").unwrap();
    let (new, empty) = (folder.path().join("new"), folder.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("src")).unwrap();
    std::fs::write(other.join("Cargo.toml"), "[package]\nname = \"other\"\n[workspace]\n").unwrap();
    std::fs::write(other.join("src/lib.rs"), "").unwrap();

    let (here, root) = (folder.path(), Path::new(ROOT));
    let elsewhere = other.to_str().unwrap();
    let its_modules = format!("its modules are {}", modules().join(", "));
    for (module, target, stand, more, complaint) in [
        ("payments", &full, root, &[][..], "is not empty"),
        ("stock", &new, root, &[], "no module `stock`"),
        ("kernel", &new, root, &[], &*its_modules),
        ("payments", &new, here, &[], "is not in a readable Cargo workspace"),
        (
            "payments",
            &new,
            root,
            &["--source", elsewhere],
            "is not the workspace of a bascule system",
        ),
        ("payments", &new, root, &["--source", "nowhere"], "the folder nowhere does not exist"),
        ("payments", &new, root, &["--to", "http://127.0.0.1:1"], "cannot be used with"),
    ] {
        let output = scaffold(module, target, stand, more);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(complaint), "{told}");
    }
    let output = scaffold("payments", &full.join("precious"), root, &[]);
    assert_eq!(output.status.code(), Some(1), "a file is no folder");

    assert!(!new.exists());
    assert_eq!(std::fs::read_to_string(full.join("precious")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(here).unwrap().count(), 3, "nothing is left beside them");

    // An empty folder is as good as none, and another checkout can be named.
    let output = scaffold("payments", &empty, here, &["--source", ROOT]);
    assert!(output.status.success(), "{output:?}");
    assert!(empty.join("Cargo.lock").is_file());
}
