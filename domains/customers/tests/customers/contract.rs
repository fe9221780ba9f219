//! What every module promises.

use customers::{CustomersModule, projections, queries};

testkit::module_contract!(
    CustomersModule,
    statements: [projections::STATEMENTS, queries::STATEMENTS],
    lists: queries::LISTS,
);
