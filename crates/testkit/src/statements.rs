//! The statements of a crate, prepared: one that an engine does not understand would fail only when it is
//! needed.

use database::{Database, Statement};

/// Prepares every statement of these lists, which [`database::statements!`] makes.
pub async fn are_prepared(database: &Database, lists: &[&[Statement]]) {
    for statement in lists.iter().copied().flatten() {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
}
