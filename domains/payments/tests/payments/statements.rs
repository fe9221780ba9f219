//! Every statement of the module is one that its database understands, and finds rows by its index.

use database::{Database, Engine};
use rstest::rstest;
use testkit::engines::TestPlace;
use testkit::lists::use_their_indexes;
use testkit::statements::are_prepared;

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared_and_lists_use_their_indexes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let opened = Database::open(place.url(), payments::NAME, &payments::MIGRATIONS);
    let database = opened.await.unwrap();
    are_prepared(&database, &[payments::queries::STATEMENTS]).await;
    use_their_indexes(&database, engine, payments::queries::LISTS).await;
    database.close().await;
}
