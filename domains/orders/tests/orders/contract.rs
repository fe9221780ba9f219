//! The stored formats: golden files, types and statements.

use std::collections::BTreeSet;
use std::path::Path;

use database::{Database, Engine};
use kernel::codec::EventSet as _;
use orders::domain::Event;
use serde_json::Value;
use testkit::engines::TestPlace;

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

#[rstest::rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let opened = Database::open(place.url(), orders::NAME, &orders::MIGRATIONS);
    let database = opened.await.unwrap();
    for statement in orders::queries::STATEMENTS {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    database.close().await;
}
