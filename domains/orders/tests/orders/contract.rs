//! The requirements on every module.

use orders::{OrdersModule, queries};

testkit::module_contract!(
    OrdersModule,
    statements: [queries::known_customers::STATEMENTS, queries::orders::STATEMENTS],
    lists: queries::orders::LISTS,
);
