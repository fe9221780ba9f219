//! What the modules publish is what `openapi/events` says: a contract type that changes without a
//! new version is found, and told in words.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::server::Data;

const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/events");

#[test]
fn the_contracts_are_what_was_published() {
    let output = Data::new().run(&["contracts", "check", "--folder", PUBLISHED]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
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
    fn complaint(&self, command: &str) -> String {
        let output = self.data.run(&["contracts", command, "--folder", self.folder_name()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn folder_name(&self) -> &str {
        self.folder.to_str().unwrap()
    }
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_field_that_is_gone_is_told_and_the_record_is_not_written_over() {
    let copy = Copy::new();
    copy.change("orders/OrderConfirmed.v1", |schema| {
        schema["properties"]["by"] = json!({ "type": "string" });
    });
    let before = read(&copy.file("orders/OrderConfirmed.v1"));
    for command in ["check", "export"] {
        let told = copy.complaint(command);
        for words in ["orders.OrderConfirmed.v1", "`by` is gone", "orders.OrderConfirmed.v2"] {
            assert!(told.contains(words), "{told}");
        }
    }
    assert_eq!(read(&copy.file("orders/OrderConfirmed.v1")), before);
}

#[test]
fn a_version_that_no_contract_has_any_more_is_told() {
    let copy = Copy::new();
    let given_up = copy.file("orders/OrderForgotten.v1");
    std::fs::copy(copy.file("orders/OrderConfirmed.v1"), given_up).unwrap();
    assert!(copy.complaint("check").contains("orders.OrderForgotten.v1 was published"));
}

#[test]
fn new_versions_and_new_optional_fields_are_written_down_on_demand() {
    let copy = Copy::new();
    let (new, extended) = ("orders/OrderConfirmed.v1", "payments/PaymentRequested.v1");
    std::fs::remove_file(copy.file(new)).unwrap();
    copy.change(extended, |schema| {
        schema["properties"].as_object_mut().unwrap().remove("customer_id").unwrap();
    });
    let told = copy.complaint("check");
    assert!(told.contains("orders.OrderConfirmed.v1 has no schema yet"), "{told}");
    assert!(told.contains("payments.PaymentRequested.v1 has changed in a way"), "{told}");
    copy.data.run_ok(&["contracts", "export", "--folder", copy.folder_name()]);
    for name in [new, extended] {
        let published = Path::new(PUBLISHED).join(format!("{name}.schema.json"));
        assert_eq!(read(&copy.file(name)), read(&published));
    }
}
