//! The contract of every module.

use database::documents::Documents;
use loyalty::LoyaltyModule;
use loyalty::cards::Cards;

testkit::module_contract!(LoyaltyModule, statements: [&Documents::<Cards>::new().statements()]);
