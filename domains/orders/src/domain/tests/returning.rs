//! Returning delivered goods.

use orders_contract::{LineQuantity, OrderReturned};
use rust_decimal::Decimal;

use super::*;
use crate::domain::ReturnOrder;

fn back(line: u32, quantity: &str) -> LineQuantity {
    LineQuantity { line, quantity: quantity.parse().unwrap() }
}

fn take_back(lines: Option<Vec<LineQuantity>>) -> Command {
    Command::Return(ReturnOrder { lines, reason: "broken".to_owned().into() })
}

fn returned(number: u32, lines: Vec<LineQuantity>, complete: bool) -> Event {
    let reason = "broken".to_owned().into();
    OrderReturned { order_id: ORDER, customer_id: CUSTOMER.into(), number, lines, complete, reason }
        .into()
}

fn delivered() -> Vec<Event> {
    vec![placed(), confirmed(), fulfilled()]
}

#[test]
fn what_was_delivered_comes_back_at_once_or_by_and_by() {
    given::<OrderDecider>(delivered()).when(take_back(None)).then([returned(
        1,
        vec![back(1, "2")],
        true,
    )]);
    let half = || vec![back(1, "1")];
    given::<OrderDecider>(delivered()).when(take_back(Some(half()))).then([returned(
        1,
        half(),
        false,
    )]);
    let story: Vec<Event> = delivered().into_iter().chain([returned(1, half(), false)]).collect();
    given::<OrderDecider>(story.clone()).when(take_back(None)).then([returned(2, half(), true)]);
    given::<OrderDecider>(story.clone()).when(take_back(Some(half()))).then([returned(
        2,
        half(),
        true,
    )]);
}

#[test]
fn no_more_comes_back_than_was_delivered() {
    let left = |left: &str| Refusal::ExceedsDelivery { line: 1, left: left.parse().unwrap() };
    given::<OrderDecider>(delivered())
        .when(take_back(Some(vec![back(1, "3")])))
        .refuses(&left("2"));
    // The quantities of a line that is listed twice add up.
    let twice = vec![back(1, "1"), back(1, "2")];
    given::<OrderDecider>(delivered()).when(take_back(Some(twice))).refuses(&left("1"));
    given::<OrderDecider>(delivered())
        .when(take_back(Some(vec![back(2, "1")])))
        .refuses(&Refusal::NoSuchLine { line: 2 });
    let all: Vec<Event> =
        delivered().into_iter().chain([returned(1, vec![back(1, "2")], true)]).collect();
    given::<OrderDecider>(all.clone()).when(take_back(None)).changes_nothing();
    given::<OrderDecider>(all.clone())
        .when(take_back(Some(vec![back(1, "1")])))
        .refuses(&Refusal::ExceedsDelivery { line: 1, left: Decimal::ZERO });
}

#[test]
fn only_a_fulfilled_order_comes_back() {
    given::<OrderDecider>([]).when(take_back(None)).refuses(&Refusal::NoSuchOrder);
    given::<OrderDecider>([placed()]).when(take_back(None)).refuses(&Refusal::NotFulfilled);
    given::<OrderDecider>([placed(), confirmed()])
        .when(take_back(None))
        .refuses(&Refusal::NotFulfilled);
    given::<OrderDecider>([placed(), cancelled(on_request())])
        .when(take_back(None))
        .refuses(&Refusal::AlreadyCancelled);
}

#[test]
fn what_came_back_is_neither_cancelled_nor_fulfilled_again() {
    let all: Vec<Event> =
        delivered().into_iter().chain([returned(1, vec![back(1, "2")], true)]).collect();
    given::<OrderDecider>(all.clone())
        .when(Command::Cancel(on_request()))
        .refuses(&Refusal::AlreadyFulfilled);
    given::<OrderDecider>(all.clone()).when(Command::Fulfil).changes_nothing();
    given::<OrderDecider>(all.clone()).when(Command::Confirm).changes_nothing();
}
