//! What other people's legacy systems hold, imported by the real binary: the right value or an
//! error that says what to do, and never a loss without a word.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use database::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::Data;

mod quarantine;
mod summary;

fn in_data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/legacies").join(name)
}

/// Imports a file by a mapping, with further arguments.
fn import(data: &Data, mapping: &Path, file: &Path, arguments: &[&str]) -> Output {
    let (mapping, file) = (mapping.to_str().unwrap(), file.to_str().unwrap());
    let mut all = vec!["import", "--mapping", mapping, "--format", "debezium"];
    all.extend_from_slice(arguments);
    all.push(file);
    data.run(&all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The summary of an import that ended with this code.
#[track_caller]
fn summary(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A feed of one table, as Debezium writes it.
#[derive(Default)]
struct Feed {
    lines: String,
    position: i64,
}

impl Feed {
    fn put(&mut self, table: &str, id: i64, mut row: Value) -> &mut Self {
        self.position += 10;
        row["id"] = json!(id);
        let source = json!({ "connector": "postgresql", "lsn": self.position,
            "txId": self.position, "snapshot": "false", "ts_ms": 1_200_000_000_000_i64 });
        let value = json!({ "op": "c", "before": null, "after": row, "source": source });
        let topic = format!("leg.public.{table}");
        writeln!(self.lines, "{}", json!({ "topic": topic, "key": { "id": id }, "value": value }))
            .unwrap();
        self
    }

    fn write(&self, data: &Data, name: &str) -> PathBuf {
        let path = data.path(name);
        std::fs::write(&path, &self.lines).unwrap();
        path
    }
}

/// A mapping of one table of customers, by a program.
fn customers(data: &Data, program: &str) -> PathBuf {
    let path = data.path("mapping.toml");
    let text = format!(
        "version = 1\nsource = \"mini\"\ntables_from = \"leg.public.\"\n\
         [tables]\nclient = {{ keep = [\"nom\"] }}\n\
         [aggregates.customer]\nroot = \"client\"\ncommand = \"customers.SyncCustomer\"\n\
         [aggregates.customer.jq]\nprogram = '{program}'\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}
