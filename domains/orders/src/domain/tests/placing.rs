//! Placing an order.

use kernel::codec::EventSet as _;

use super::*;

#[test]
fn an_order_is_placed_with_its_totals() {
    given::<OrderDecider>([]).when(place(vec![line("2", "49.90", "20")])).then([placed()]);
}

#[test]
fn quantities_and_prices_keep_their_decimals() {
    let event = given::<OrderDecider>([]).when(place(vec![line("1.500", "10.00", "5.5")])).event();
    let data = event.to_json().unwrap();
    assert_eq!(data["lines"][0]["quantity"], "1.500");
    assert_eq!(data["lines"][0]["unit_price"], "10.00");
    assert_eq!(data["total_vat"], "0.83");
}

#[test]
fn an_order_without_anything_to_pay_is_refused() {
    given::<OrderDecider>([]).when(place(vec![])).refuses(&Refusal::NothingToPay);
    given::<OrderDecider>([])
        .when(place(vec![line("1", "0", "20")]))
        .refuses(&Refusal::NothingToPay);
    given::<OrderDecider>([])
        .when(place(vec![line("1", "0.004", "20")]))
        .refuses(&Refusal::NothingToPay);
}

#[test]
fn an_order_beyond_computing_is_refused() {
    let huge = "70000000000000000000000000000";
    given::<OrderDecider>([])
        .when(place(vec![line(huge, "10", "20")]))
        .refuses(&Refusal::TotalTooLarge);
}

#[test]
fn an_order_is_placed_once() {
    for history in [
        vec![placed()],
        vec![placed(), confirmed()],
        vec![placed(), confirmed(), fulfilled()],
        vec![placed(), cancelled(on_request())],
    ] {
        given::<OrderDecider>(history.clone())
            .when(place(vec![line("2", "49.90", "20")]))
            .refuses(&Refusal::AlreadyPlaced);
    }
}
