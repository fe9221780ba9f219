//! What every module promises.

use orders::{OrdersModule, queries};

testkit::module_contract!(
    OrdersModule,
    statements: [queries::STATEMENTS],
    lists: queries::LISTS,
);
