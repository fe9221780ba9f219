//! Invoices of orders.

use super::*;

#[test]
fn an_order_is_invoiced_with_its_own_totals() {
    given::<InvoiceDecider>([]).when(issue(order())).then([issued()]);
}

#[test]
fn an_invoice_is_issued_once() {
    given::<InvoiceDecider>([issued()]).when(issue(order())).refuses(&Refusal::AlreadyIssued);
    given::<InvoiceDecider>([credited()]).when(issue(order())).refuses(&Refusal::AlreadyIssued);
}

#[test]
fn an_order_that_does_not_add_up_is_not_invoiced() {
    for (wrong, computed) in [
        (OrderPlaced { total_net: decimal("1"), ..order() }, "101.28"),
        (OrderPlaced { total_vat: decimal("1"), ..order() }, "20.04"),
        (OrderPlaced { total: decimal("1"), ..order() }, "121.32"),
    ] {
        let (computed, stated) = (decimal(computed), decimal("1"));
        let refusal = Refusal::TotalsDisagree { computed, stated };
        given::<InvoiceDecider>([]).when(issue(wrong)).refuses(&refusal);
    }
}

#[test]
fn what_cannot_be_computed_is_not_invoiced() {
    let unknown = OrderPlaced { currency: "ABC".to_owned(), ..order() };
    given::<InvoiceDecider>([]).when(issue(unknown)).refuses(&Refusal::UnknownCurrency);
    let line = order_line(&Decimal::MAX.to_string(), "10", "20");
    let huge = OrderPlaced { lines: vec![line], ..order() };
    given::<InvoiceDecider>([]).when(issue(huge)).refuses(&Refusal::TotalTooLarge);
}
