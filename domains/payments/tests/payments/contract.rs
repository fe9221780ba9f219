//! What every module promises.

use payments::{PaymentsModule, queries};

testkit::module_contract!(
    PaymentsModule::on_sandbox(),
    statements: [queries::payments::STATEMENTS, queries::refunds::STATEMENTS],
    lists: &[queries::payments::LISTS, queries::refunds::LISTS].concat(),
);
