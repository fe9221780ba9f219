//! The contract of every module, as tests: [`module_contract!`](crate::module_contract!) defines them
//! for one module.

use std::collections::BTreeSet;

use database::{Database, Engine, Migrations, Statement};
use module::{Module, ModuleDescription};

use crate::engines::TestTables;

/// Defines the tests of the contract of every module, for a module's own `tests/`:
///
/// ```ignore
/// testkit::module_contract!(
///     BillingModule,
///     statements: [queries::STATEMENTS, retention::STATEMENTS],
///     lists: queries::LISTS,
/// );
/// ```
///
/// - Names: events, subscriptions and streams begin with the module's name.
/// - Formats: every event version has samples in `contract/golden` or `golden`, which are read and
///   written again unchanged.
/// - Tables: on both engines the migrations create the tables that the module's projections name.
/// - Statements: both engines can prepare every statement, and lists use their indexes.
#[macro_export]
macro_rules! module_contract {
    ($module:expr $(, statements: [$($statements:expr),* $(,)?])? $(, lists: $lists:expr)? $(,)?) => {
        #[test]
        fn names_begin_with_the_modules_name() {
            $crate::module_contract::names_are_its_own(&$crate::module_contract::described(&$module));
        }

        #[test]
        fn stored_formats_are_kept() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let module = $crate::module_contract::described(&$module);
            $crate::golden::keeps_formats(&module, folder);
        }

        #[rstest::rstest]
        #[tokio::test]
        async fn tables_and_statements_are_what_the_engine_has(
            #[values($crate::Engine::Sqlite, $crate::Engine::Postgres)] engine: $crate::Engine,
        ) {
            let place = $crate::engines::TestTables::on(engine).await;
            let database = $crate::module_contract::has_its_tables(&$module, &place, engine).await;
            $($crate::statements::are_prepared(&database, &[$($statements),*]).await;)?
            $($crate::lists::use_their_indexes(&database, engine, $lists).await;)?
            database.close().await;
        }
    };
}

/// The tables of a database, bookkeeping included.
const TABLES: Statement = Statement::PerEngine {
    sqlite: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    postgres: "SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = current_schema()",
};

/// Returns the description of a module.
pub fn described<M: Module>(_: &M) -> ModuleDescription {
    ModuleDescription::of::<M>()
}

/// Checks the names of events and subscriptions.
#[track_caller]
pub fn names_are_its_own(module: &ModuleDescription) {
    let prefix = format!("{}.", module.name);
    for category in &module.categories {
        for event_type in &category.readable {
            assert!(
                event_type.starts_with(&prefix),
                "{event_type} does not begin with the name of {}",
                module.name
            );
        }
    }
    for subscription in &module.subscriptions {
        let name = &subscription.name;
        assert!(
            name.starts_with(&prefix),
            "the subscription {name} does not begin with the name of {}",
            module.name
        );
    }
    let names: BTreeSet<&str> = module.subscriptions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), module.subscriptions.len(), "two subscriptions have one name");
}

/// Opens a module's database and checks that it has the tables that the module describes. Returns the
/// database.
pub async fn has_its_tables<M: Module>(module: &M, place: &TestTables, engine: Engine) -> Database {
    static NONE: Migrations = Migrations::NONE;
    let (url, empty) = (place.url(), TestTables::on(engine).await);
    let bookkeeping = Database::open(empty.url(), M::NAME, &NONE).await.unwrap();
    let database = Database::open(url, M::NAME, module.migrations()).await.unwrap();
    let tables = async |of: &Database| -> BTreeSet<String> {
        of.query(&TABLES).scalars().await.unwrap().into_iter().collect()
    };
    let (all, common) = (tables(&database).await, tables(&bookkeeping).await);
    let own: BTreeSet<&str> = all.difference(&common).map(String::as_str).collect();
    let described: BTreeSet<&str> = described(module).tables.into_iter().collect();
    assert_eq!(own, described, "the migrations create other tables than `TABLES` lists");
    bookkeeping.close().await;
    database
}
