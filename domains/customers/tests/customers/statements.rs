//! The module's statements, on both engines.

use customers::queries::{LISTS, STATEMENTS};
use customers::{MIGRATIONS, NAME};
use database::{Database, Engine};
use testkit::engines::TestPlace;
use testkit::lists::use_their_indexes;

#[rstest::rstest]
#[tokio::test]
async fn every_statement_can_be_prepared_and_lists_use_their_indexes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    for statement in STATEMENTS.iter().chain(customers::projections::STATEMENTS) {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    use_their_indexes(&database, engine, LISTS).await;
    database.close().await;
}
