//! The stored formats: golden files, types and statements.

use std::collections::BTreeSet;
use std::path::Path;

use kernel::codec::EventSet as _;
use orders::domain::Event;
use serde_json::Value;

#[test]
fn every_golden_event_is_read_and_written_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/golden");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let event_type = format!("orders.{}", path.file_stem().unwrap().to_str().unwrap());
        let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let event = Event::from_json(&event_type, golden.clone()).unwrap();
        let event = event.unwrap_or_else(|| panic!("{event_type} is not an event of ours"));
        assert_eq!(event.to_json().unwrap(), golden, "{event_type}");
        seen.insert(event_type);
    }
    assert_eq!(seen, Event::types().into_iter().map(str::to_owned).collect());
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.db").display());
    let database = database::Database::open(&url, orders::NAME, &orders::MIGRATIONS).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    for statement in orders::queries::STATEMENTS {
        let prepared =
            sqlx::Executor::prepare(&mut *transaction, sqlx::SqlStr::from_static(statement));
        prepared.await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}
