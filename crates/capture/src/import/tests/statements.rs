//! Every statement is one that its database understands.

use database::Engine;
use rstest::rstest;
use testkit::engines::TestTables;
use testkit::statements::are_prepared;

use super::super::{Import, anew, ledger};
use crate::{erasure, mirror, trial};

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let database = Import::open_database(place.url()).await.unwrap();
    let lists = [
        anew::STATEMENTS,
        erasure::STATEMENTS,
        ledger::statements::STATEMENTS,
        mirror::tables::STATEMENTS,
        trial::STATEMENTS,
    ];
    are_prepared(&database, &lists).await;
    database.close().await;
}

testkit::module_contract!(crate::CaptureModule);
