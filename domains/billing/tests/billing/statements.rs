//! The module's statements, on both engines.

use billing::queries::{NARROW_LISTS, STATEMENTS};
use billing::{MIGRATIONS, NAME};
use database::{Database, Engine, Statement};
use testkit::engines::TestPlace;

#[rstest::rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    for statement in STATEMENTS {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    database.close().await;
}

#[tokio::test]
async fn what_few_documents_have_is_found_by_an_index() {
    let place = TestPlace::on(Engine::Sqlite).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    for narrow in NARROW_LISTS {
        let explain = format!("EXPLAIN QUERY PLAN {}", narrow.text(Engine::Sqlite));
        let plan = Statement::Same(explain.leak());
        let rows = database.query(&plan).fetch_all().await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        assert!(steps.iter().any(|step| step.starts_with("SEARCH invoice_view")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN invoice_view")), "{steps:?}");
    }
}
