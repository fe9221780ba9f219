//! Every statement of the module is one that its database understands.

use database::{Database, Engine};
use rstest::rstest;
use testkit::engines::TestPlace;

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let opened = Database::open(place.url(), payments::NAME, &payments::MIGRATIONS);
    let database = opened.await.unwrap();
    for statement in payments::queries::STATEMENTS {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    database.close().await;
}
