//! The targets of the Makefile refuse a Cargo.lock that lacks a new crate, and say what to do.

use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A workspace with one crate, and the script that checks its lock file.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        for file in ["scripts/check-lock.sh", "scripts/lib/say.sh"] {
            let copy = workspace.0.path().join(file);
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(Path::new(ROOT).join(file), copy).unwrap();
        }
        workspace.write("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"3\"\n");
        workspace.add("one", "");
        let made = Command::new("cargo")
            .args(["generate-lockfile", "--offline"])
            .current_dir(workspace.0.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        workspace
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn add(&self, name: &str, dependencies: &str) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{dependencies}"
        );
        self.write(&format!("crates/{name}/Cargo.toml"), &manifest);
        self.write(&format!("crates/{name}/src/lib.rs"), "");
    }

    fn check(&self) -> Output {
        Command::new(self.0.path().join("scripts/check-lock.sh")).output().unwrap()
    }

    #[track_caller]
    fn is_refused(&self) -> String {
        let output = self.check();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_crate_or_dependency_that_the_lock_file_does_not_know_is_told_with_what_to_do() {
    let workspace = Workspace::new();
    let output = workspace.check();
    assert!(output.status.success(), "{output:?}");
    let lock = || std::fs::read_to_string(workspace.0.path().join("Cargo.lock")).unwrap();
    let before = lock();

    workspace.add("two", "");
    let told = workspace.is_refused();
    assert!(told.contains("Cargo.lock lacks a new crate or dependency"), "{told}");
    assert!(told.contains("Run once: cargo check    and commit Cargo.lock."), "{told}");
    assert_eq!(lock(), before, "it is not changed");

    std::fs::remove_dir_all(workspace.0.path().join("crates/two")).unwrap();
    workspace.add("one", "[dependencies\n");
    let told = workspace.is_refused();
    assert!(told.contains("cargo cannot read the workspace"), "{told}");
    assert!(!told.contains("Cargo.lock"), "{told}");
}

#[test]
fn every_target_of_the_inner_loop_checks_the_lock_file_first() {
    let makefile = std::fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    for target in ["check", "test", "test-doc", "test-rust", "generate", "lint", "states"] {
        let line = makefile.lines().find(|line| line.starts_with(&format!("{target}:"))).unwrap();
        assert!(line.starts_with(&format!("{target}: locked ")), "{line}");
    }
}
