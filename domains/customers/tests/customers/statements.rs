//! The module's statements, on both engines.

use customers::queries::LISTS;
use customers::{MIGRATIONS, NAME, projections, queries};
use database::{Database, Engine};
use testkit::engines::TestPlace;
use testkit::lists::use_their_indexes;
use testkit::statements::are_prepared;

#[rstest::rstest]
#[tokio::test]
async fn every_statement_can_be_prepared_and_lists_use_their_indexes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
    are_prepared(&database, &[projections::STATEMENTS, queries::STATEMENTS]).await;
    use_their_indexes(&database, engine, LISTS).await;
    database.close().await;
}
