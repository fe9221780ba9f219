//! What every module promises.

use customers::{CustomersModule, queries};

testkit::module_contract!(
    CustomersModule,
    statements: [queries::STATEMENTS],
    lists: queries::LISTS,
);
