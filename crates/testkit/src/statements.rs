//! Preparing the statements of a crate: a statement that an engine does not accept would otherwise fail
//! only when it is needed.

use database::{Database, Statement};

/// Prepares every statement of these lists, which [`database::statements!`] defines.
pub async fn are_prepared(database: &Database, lists: &[&[Statement]]) {
    for statement in lists.iter().copied().flatten() {
        let prepared = database.prepare(statement).await;
        prepared.unwrap_or_else(|error| panic!("{statement:?}: {error:?}"));
    }
}
