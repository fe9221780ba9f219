//! The requirements on every module.

use customers::{CustomersModule, queries};

testkit::module_contract!(
    CustomersModule,
    statements: [queries::STATEMENTS],
    lists: queries::LISTS,
);
