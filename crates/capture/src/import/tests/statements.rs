//! Every statement is one that its database understands.

use database::Engine;
use rstest::rstest;
use testkit::engines::TestPlace;

use super::super::{Import, anew, ledger};
use crate::{erasure, mirror};

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestPlace::on(engine).await;
    let database = Import::open_database(place.url()).await.unwrap();
    let statements = ledger::statements::ALL.iter().chain(&mirror::tables::STATEMENTS);
    let statements = statements.chain(&erasure::STATEMENTS).chain(&ledger::statements::KEEP_ONLY);
    for statement in
        statements.chain(&anew::FORGET).chain([&anew::BEGIN_ANEW, &anew::FORGET_DELETED])
    {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
    database.close().await;
}
