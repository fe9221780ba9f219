//! The statements about idempotency keys, on both engines.

use database::{Database, Engine, Migrations};
use rstest::rstest;
use testkit::engines::TestTables;
use testkit::statements::are_prepared;

static NO_TABLES: Migrations = Migrations::NONE;

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let database = Database::open(place.url(), "house", &NO_TABLES).await.unwrap();
    are_prepared(&database, &[web_api::idempotency::STATEMENTS]).await;
}
