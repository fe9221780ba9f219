//! The module's statements, on both engines.

use customers::queries::{INDEXED_LISTS, STATEMENTS};
use customers::{MIGRATIONS, NAME};
use database::{Database, Engine, Statement};
use testkit::engines::TestPlace;

#[rstest::rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    for statement in STATEMENTS.iter().chain(customers::projections::STATEMENTS) {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    database.close().await;
}

#[tokio::test]
async fn lookups_go_through_their_indexes() {
    let place = TestPlace::on(Engine::Sqlite).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    for (list, index) in INDEXED_LISTS {
        let explain = format!("EXPLAIN QUERY PLAN {}", list.text(Engine::Sqlite));
        let plan = Statement::Same(explain.leak());
        let rows = database.query(&plan).fetch_all().await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        assert!(steps[0].contains("SEARCH") && steps[0].contains(index), "{steps:?}");
        // An address is looked up under several keys; few customers share one.
        let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert_eq!(is_sorted, *index == "customer_email", "{steps:?}");
    }
}
