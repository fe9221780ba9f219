//! What the modules publish is what `openapi/events` says: a contract type that changes without a
//! new version is found, and told in words. What is made from the code is as the code says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::server::Data;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/events");

#[test]
fn the_contracts_are_what_was_published() {
    let copy = Copy::new();
    let told = copy.data.run_ok(&["contracts", "export", "--folder", copy.folder_name()]);
    assert_eq!(told, "", "something is new: make generate");
    copy.data.run_ok(&["contracts", "check", "--against", PUBLISHED]);
}

#[test]
fn what_is_made_from_the_code_is_as_the_code_says() {
    let data = Data::new();
    let description = Path::new(ROOT).join("openapi/asyncapi.json");
    assert_eq!(data.run_ok(&["asyncapi"]), std::fs::read_to_string(description).unwrap());
    let wire_page = std::fs::read_to_string(Path::new(ROOT).join("docs/wire.md")).unwrap();
    assert!(wire_page.contains(&data.run_ok(&["wire", "calls"])), "make generate");
    data.run_ok(&["modules", "export", "--folder", "pages"]);
    data.run_ok(&["mapping", "export", "--folder", "sync", "--page", "pages/import-fields.md"]);
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for (kept, made) in [("docs/modules", "pages"), ("openapi/sync", "sync")] {
        let (kept, made) = (Path::new(ROOT).join(kept), data.path(made));
        assert_eq!(names(&kept), names(&made));
        for name in names(&made) {
            let read = |folder: &Path| std::fs::read_to_string(folder.join(&name)).unwrap();
            assert_eq!(read(&kept), read(&made), "{name:?}: make generate");
        }
    }
}

/// A copy of the published schemas, in which one of them says something else.
struct Copy {
    data: Data,
    folder: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let data = Data::new();
        let folder = data.path("events");
        for module in std::fs::read_dir(PUBLISHED).unwrap() {
            let module = module.unwrap();
            if !module.path().is_dir() {
                continue;
            }
            let into = folder.join(module.file_name());
            std::fs::create_dir_all(&into).unwrap();
            for file in std::fs::read_dir(module.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), into.join(file.file_name())).unwrap();
            }
        }
        Self { data, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.schema.json"))
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut schema = read(&self.file(name));
        change(&mut schema);
        std::fs::write(self.file(name), schema.to_string()).unwrap();
    }

    /// What is told by a command that finds contracts and schemas at odds.
    #[track_caller]
    fn complaint(&self, arguments: &[&str]) -> String {
        let output = self.data.run(&[&["contracts"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn is_refused_by_check(&self) -> String {
        self.complaint(&["check", "--against", self.folder_name()])
    }

    fn folder_name(&self) -> &str {
        self.folder.to_str().unwrap()
    }
}

/// Returns whether a line tells of a breach, with this consumer before any others, and of what to do.
fn tells(told: &str, breach: &str) -> bool {
    told.lines().filter_map(|line| line.strip_prefix(breach)).any(|rest| {
        let ends = rest.ends_with(". Publish v2 and an upcaster.");
        ends && (rest.starts_with('.') || rest.starts_with(", "))
    })
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_field_that_is_gone_is_told_and_the_record_is_not_written_over() {
    let copy = Copy::new();
    copy.change("orders/OrderPlaced.v1", |schema| {
        schema["properties"]["lines"]["items"]["properties"]["colour"] =
            json!({ "type": "string" });
    });
    let before = read(&copy.file("orders/OrderPlaced.v1"));
    for told in
        [copy.is_refused_by_check(), copy.complaint(&["export", "--folder", copy.folder_name()])]
    {
        let expected =
            "orders.OrderPlaced.v1: field `lines[].colour` was removed; consumers: billing";
        assert!(tells(&told, expected), "{told}");
        assert!(told.contains("CONTRIBUTING.md"), "{told}");
    }
    assert_eq!(read(&copy.file("orders/OrderPlaced.v1")), before);
}

#[test]
fn a_field_that_becomes_required_is_told_with_who_listens() {
    let copy = Copy::new();
    copy.change("billing/InvoiceVoided.v1", |schema| {
        let required = schema["required"].as_array_mut().unwrap();
        required.retain(|field| field != "reason");
    });
    let told = copy.is_refused_by_check();
    let expected = "billing.InvoiceVoided.v1: field `reason` was optional and is required; \
                    consumers: orders, payments. Publish v2 and an upcaster.";
    assert!(told.lines().any(|line| line == expected), "{told}");
}

#[test]
fn a_version_that_no_contract_has_any_more_is_told() {
    let copy = Copy::new();
    let given_up = copy.file("orders/OrderForgotten.v1");
    std::fs::copy(copy.file("orders/OrderConfirmed.v1"), given_up).unwrap();
    assert!(copy.is_refused_by_check().contains("orders.OrderForgotten.v1 was published"));
}

#[test]
fn new_versions_and_new_optional_fields_are_written_down_on_demand() {
    let copy = Copy::new();
    let (new, extended) = ("orders/OrderConfirmed.v1", "customers/CustomerErased.v1");
    std::fs::remove_file(copy.file(new)).unwrap();
    copy.change(extended, |schema| {
        schema["properties"].as_object_mut().unwrap().remove("legacy").unwrap();
    });
    let told = copy.data.run_ok(&["contracts", "check", "--against", copy.folder_name()]);
    assert!(told.contains("orders.OrderConfirmed.v1 is new"), "{told}");
    assert!(told.contains("customers.CustomerErased.v1 is extended"), "{told}");
    copy.data.run_ok(&["contracts", "export", "--folder", copy.folder_name()]);
    for name in [new, extended] {
        let published = Path::new(PUBLISHED).join(format!("{name}.schema.json"));
        assert_eq!(read(&copy.file(name)), read(&published));
    }
}

/// Runs git in a folder, as nobody in particular.
#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@exemple.fr"]);
    // Of no repository around, and as nobody has configured it.
    let output = git
        .env("GIT_CEILING_DIRECTORIES", folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(arguments)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Copy {
    /// In a git repository, where the schemas are where they belong.
    fn in_repository() -> Self {
        let copy = Self::new();
        let folder = copy.data.path("openapi/events");
        std::fs::create_dir(copy.data.path("openapi")).unwrap();
        std::fs::rename(&copy.folder, &folder).unwrap();
        let copy = Self { folder, ..copy };
        git(&copy.data.path(""), &["init", "--quiet", "--initial-branch=main"]);
        copy
    }

    /// Commits the schemas as they are; the commit's id as it is told.
    fn commit(&self, message: &str) -> String {
        let root = self.data.path("");
        git(&root, &["add", "openapi"]);
        git(&root, &["commit", "--quiet", "--message", message]);
        git(&root, &["rev-parse", "HEAD"])[..10].to_owned()
    }

    fn against(&self, reference: &str) -> Output {
        self.data.run(&["contracts", "check", "--against", reference])
    }
}

#[test]
fn a_break_is_found_against_a_commit_and_against_every_commit_before_it() {
    let copy = Copy::in_repository();
    let sound = copy.commit("Publish");
    assert!(copy.against("main").status.success(), "{:?}", copy.against("main"));
    copy.change("orders/OrderPlaced.v1", |schema| {
        schema["properties"]["colour"] = json!({ "type": "string" });
    });
    let with_colour = copy.commit("Say what colour it is");
    let told = copy.complaint(&["check", "--against", "main"]);
    let broken = "orders.OrderPlaced.v1: field `colour` was removed; consumers: billing";
    assert!(tells(&told, broken), "{told}");
    // The commit before does not know it.
    assert!(copy.against(&sound).status.success(), "{:?}", copy.against(&sound));

    // Somebody writes over the record: it agrees with itself, and its history does not.
    copy.change("orders/OrderPlaced.v1", |schema| {
        schema["properties"].as_object_mut().unwrap().remove("colour").unwrap();
    });
    copy.commit("Say no more what colour it is");
    copy.data.run_ok(&["contracts", "check"]);
    let told = copy.complaint(&["check", "--against", "HEAD"]);
    let broken = format!(
        "orders.OrderPlaced.v1: field `colour` was removed after {with_colour}; consumers: billing"
    );
    assert!(tells(&told, &broken), "{told}");

    // A shallow clone does not have that history.
    let clone = copy.data.path("clone");
    let (from, to) =
        (format!("file://{}", copy.data.path("").display()), clone.display().to_string());
    git(&copy.data.path(""), &["clone", "--quiet", "--depth=1", &from, &to]);
    let mut check = copy.data.bascule();
    let output =
        check.current_dir(&clone).args(["contracts", "check", "--against", "HEAD"]).output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
}

#[test]
fn the_record_begins_with_the_last_commit_that_changed_its_beginning() {
    let copy = Copy::in_repository();
    let root = copy.data.path("");
    let colour = |schema: &mut Value| {
        schema["properties"]["colour"] = json!({ "type": "string" });
    };
    let no_colour = |schema: &mut Value| {
        schema["properties"].as_object_mut().unwrap().remove("colour").unwrap();
    };
    copy.change("orders/OrderPlaced.v1", colour);
    copy.commit("Say what colour it is");
    // A branch that leaves here publishes something that is given up meanwhile.
    git(&root, &["checkout", "--quiet", "-b", "branch"]);
    std::fs::copy(copy.file("orders/OrderConfirmed.v1"), copy.file("orders/OrderForgotten.v1"))
        .unwrap();
    copy.commit("Publish what is given up");
    git(&root, &["rm", "--quiet", "openapi/events/orders/OrderForgotten.v1.schema.json"]);
    copy.commit("Give it up");
    git(&root, &["checkout", "--quiet", "main"]);

    copy.change("orders/OrderPlaced.v1", no_colour);
    std::fs::write(copy.folder.join("BEGINNING.md"), "Begun anew.").unwrap();
    copy.commit("Begin anew");
    git(&root, &["merge", "--quiet", "--no-edit", "branch"]);
    assert!(copy.against("main").status.success(), "{:?}", copy.against("main"));

    // What was published at the beginning counts, and what was published since.
    copy.change("orders/OrderPlaced.v1", colour);
    let with_colour = copy.commit("Say again what colour it is");
    copy.change("orders/OrderPlaced.v1", no_colour);
    let confirmed = copy.file("orders/OrderConfirmed.v1");
    let now = std::fs::read(&confirmed).unwrap();
    copy.change("orders/OrderConfirmed.v1", colour);
    std::fs::write(copy.folder.join("BEGINNING.md"), "Begun anew once more.").unwrap();
    let begun = copy.commit("Begin anew once more");
    std::fs::write(confirmed, now).unwrap();
    copy.commit("Say no more what colour it is");
    let told = copy.complaint(&["check", "--against", "main"]);
    let broken = format!("orders.OrderConfirmed.v1: field `colour` was removed after {begun}; ");
    assert!(told.contains(&broken), "{told}");
    assert!(!told.contains(&with_colour), "it is from before the beginning: {told}");
}

#[test]
fn a_version_that_went_from_the_record_is_found_in_its_history() {
    let copy = Copy::in_repository();
    let given_up = copy.file("orders/OrderForgotten.v1");
    std::fs::copy(copy.file("orders/OrderConfirmed.v1"), &given_up).unwrap();
    copy.commit("Publish");
    std::fs::remove_file(given_up).unwrap();
    copy.commit("Forget");
    copy.data.run_ok(&["contracts", "check"]);
    let told = copy.complaint(&["check", "--against", "main"]);
    assert!(told.contains("orders.OrderForgotten.v1 was published"), "{told}");
}

#[test]
fn what_cannot_be_compared_with_is_told_with_what_to_do() {
    let copy = Copy::in_repository();
    let outside = Copy::new();
    let complaint = |output: Output, code: i32| {
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let told = complaint(copy.against("mian"), 2);
    assert!(told.contains("no folder mian, and git has no commit of that name"), "{told}");
    copy.commit("Publish");
    git(&copy.data.path(""), &["rm", "--quiet", "-r", "--cached", "openapi"]);
    git(&copy.data.path(""), &["commit", "--quiet", "--message", "Publish nothing"]);
    let told = complaint(copy.against("main"), 2);
    assert!(told.contains("main has no schemas in openapi/events"), "{told}");
    let told = complaint(outside.against("main"), 1);
    assert!(told.contains("git finds no repository in the current folder"), "{told}");
    let mut without_git = copy.data.bascule();
    let arguments = ["contracts", "check", "--against", "main"];
    let output = without_git.env("PATH", copy.data.path("nothing")).args(arguments).output();
    let told = complaint(output.unwrap(), 1);
    assert!(told.contains("cannot run git; to compare without git, name a folder"), "{told}");
    std::fs::write(copy.file("orders/OrderPlaced.v1"), "{").unwrap();
    let told = complaint(copy.data.run(&["contracts", "check"]), 1);
    assert!(told.contains("OrderPlaced.v1.schema.json: not a JSON Schema"), "{told}");
}
