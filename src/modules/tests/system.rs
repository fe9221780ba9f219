//! What is told of the modules together.

use crate::modules::consumers_of;

#[test]
fn consumers_are_the_other_modules_that_read_an_event() {
    assert_eq!(consumers_of("orders.OrderPlaced.v1"), ["billing"]);
    assert_eq!(consumers_of("billing.InvoiceVoided.v1"), ["orders", "payments"]);
    assert_eq!(
        consumers_of("customers.CustomerErased.v1"),
        ["orders", "billing", "payments", "capture"]
    );
    assert!(consumers_of("orders.OrderFulfilled.v1").is_empty());
}
