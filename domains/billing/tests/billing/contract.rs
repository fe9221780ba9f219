//! What every module promises.

use billing::BillingModule;
use billing::queries::{self, retention};

testkit::module_contract!(
    BillingModule,
    statements: [queries::STATEMENTS, retention::STATEMENTS],
    lists: queries::LISTS,
);
