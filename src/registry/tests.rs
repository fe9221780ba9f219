//! What is named elsewhere, because it may run elsewhere, is named right.

use event_contract::Published as _;
use kernel::decider::Decider as _;

use super::*;

#[test]
fn modules_that_may_run_elsewhere_are_named_as_they_name_themselves() {
    assert_eq!(modules(), orders::SAGA);
    assert_eq!(crate::erasure::CUSTOMER, ::customers::domain::CustomerDecider::CATEGORY);
    assert_eq!(customers::RETAINING, [::billing::NAME]);
    assert_eq!(crate::erasure::RETENTION_ENDED, ::billing::domain::retention::RetentionEnded::TYPE);
}

#[test]
fn an_erasure_asks_everybody_who_does_something_about_it() {
    let mut registered: Vec<&str> =
        all().filter(|one| one.erasure().is_some()).map(Registered::name).collect();
    let mut asked = crate::admin::erase::ASKED.to_vec();
    registered.sort_unstable();
    asked.sort_unstable();
    assert_eq!(asked, registered);
}
