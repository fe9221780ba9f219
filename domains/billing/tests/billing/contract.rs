//! What every module promises.

use billing::BillingModule;
use billing::queries::{invoices, known_customers, retention};

testkit::module_contract!(
    BillingModule,
    statements: [invoices::STATEMENTS, known_customers::STATEMENTS, retention::STATEMENTS],
    lists: invoices::LISTS,
);
