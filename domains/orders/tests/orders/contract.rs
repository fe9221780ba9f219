//! The requirements on every module.

use orders::{OrdersModule, queries};

testkit::module_contract!(
    OrdersModule,
    statements: [queries::KNOWN_CUSTOMER_STATEMENTS, queries::ORDER_STATEMENTS],
    lists: queries::LISTS,
);
