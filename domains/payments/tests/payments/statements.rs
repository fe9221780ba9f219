//! Every statement of the module is one that its database understands, and finds rows by its index.

use database::{Database, Engine};
use rstest::rstest;
use testkit::engines::TestPlace;
use testkit::lists::use_their_indexes;

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared_and_lists_use_their_indexes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let opened = Database::open(place.url(), payments::NAME, &payments::MIGRATIONS);
    let database = opened.await.unwrap();
    for statement in payments::queries::STATEMENTS {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    use_their_indexes(&database, engine, payments::queries::LISTS).await;
    database.close().await;
}
