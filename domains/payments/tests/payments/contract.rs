//! What every module promises.

use payments::{PaymentsModule, queries};

testkit::module_contract!(
    PaymentsModule::on_sandbox(),
    statements: [queries::STATEMENTS],
    lists: queries::LISTS,
);
