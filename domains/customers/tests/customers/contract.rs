//! The requirements on every module.

use customers::CustomersModule;
use customers::queries::directory;

testkit::module_contract!(
    CustomersModule,
    statements: [directory::STATEMENTS],
    lists: directory::LISTS,
);
