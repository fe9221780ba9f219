//! Checkpoints and leases as they stand in the modules' tables, read past the product.

use std::collections::BTreeMap;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use uuid::Uuid;

use crate::modules::modules;
use crate::server::Data;

/// The fencing token of every subscription: another one for every tenure.
pub(super) async fn tokens(data: &Data) -> BTreeMap<String, Uuid> {
    const TOKENS: &str = "SELECT subscription, token FROM checkpoint WHERE token IS NOT NULL";
    let mut tokens = Vec::new();
    for module in modules() {
        let rows: Vec<(String, Uuid)> = if data.is_in_postgres() {
            let mut connection = testkit::postgres::connect(&data.store()).await;
            let path = sqlx::AssertSqlSafe(format!("SET search_path = {module}"));
            sqlx::raw_sql(path).execute(&mut connection).await.unwrap();
            sqlx::query_as(TOKENS).fetch_all(&mut connection).await.unwrap()
        } else {
            let file = SqliteConnectOptions::new().filename(file_of(data, &module)).read_only(true);
            let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
            sqlx::query_as(TOKENS).fetch_all(&mut connection).await.unwrap()
        };
        tokens.extend(rows);
    }
    tokens.into_iter().collect()
}

fn file_of(data: &Data, module: &str) -> std::path::PathBuf {
    data.path(&format!("bascule.{module}.db"))
}

/// Whether somebody is in the midst of writing one of the files. A process that is paused there
/// keeps everybody else from writing for as long as it is, and no lease can change that.
pub(super) async fn a_file_is_being_written(data: &Data) -> bool {
    if data.is_in_postgres() {
        return false;
    }
    let modules = modules().into_iter().map(|module| file_of(data, &module));
    let files = modules.chain([data.path("bascule.db"), data.path("bascule.sandbox.db")]);
    for file in files {
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(Default::default());
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let begun = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await;
        connection.close().await.unwrap();
        if begun.is_err() {
            return true;
        }
    }
    false
}
