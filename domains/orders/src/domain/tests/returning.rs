//! What comes back.

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
    OrderReturned { order_id: ORDER, customer_id: CUSTOMER, number, lines, complete, reason }.into()
}

fn delivered() -> Vec<Event> {
    vec![placed(), confirmed(), fulfilled()]
}

#[test]
fn what_was_delivered_comes_back_at_once_or_by_and_by() {
    given(&delivered()).when(take_back(None)).then(&[returned(1, vec![back(1, "2")], true)]);
    let half = || vec![back(1, "1")];
    given(&delivered()).when(take_back(Some(half()))).then(&[returned(1, half(), false)]);
    let story: Vec<Event> = delivered().into_iter().chain([returned(1, half(), false)]).collect();
    given(&story).when(take_back(None)).then(&[returned(2, half(), true)]);
    given(&story).when(take_back(Some(half()))).then(&[returned(2, half(), true)]);
}

#[test]
fn no_more_comes_back_than_was_delivered() {
    let left = |left: &str| Refusal::ExceedsDelivery { line: 1, left: left.parse().unwrap() };
    given(&delivered()).when(take_back(Some(vec![back(1, "3")]))).then_refused(left("2"));
    // One line named twice is one line.
    let twice = vec![back(1, "1"), back(1, "2")];
    given(&delivered()).when(take_back(Some(twice))).then_refused(left("1"));
    given(&delivered())
        .when(take_back(Some(vec![back(2, "1")])))
        .then_refused(Refusal::NoSuchLine { line: 2 });
    let all: Vec<Event> =
        delivered().into_iter().chain([returned(1, vec![back(1, "2")], true)]).collect();
    given(&all).when(take_back(None)).then(&[]);
    given(&all)
        .when(take_back(Some(vec![back(1, "1")])))
        .then_refused(Refusal::ExceedsDelivery { line: 1, left: Decimal::ZERO });
}

#[test]
fn only_a_fulfilled_order_comes_back() {
    given(&[]).when(take_back(None)).then_refused(Refusal::NoSuchOrder);
    given(&[placed()]).when(take_back(None)).then_refused(Refusal::NotFulfilled);
    given(&[placed(), confirmed()]).when(take_back(None)).then_refused(Refusal::NotFulfilled);
    given(&[placed(), cancelled(on_request())])
        .when(take_back(None))
        .then_refused(Refusal::AlreadyCancelled);
}

#[test]
fn what_came_back_is_neither_cancelled_nor_fulfilled_again() {
    let all: Vec<Event> =
        delivered().into_iter().chain([returned(1, vec![back(1, "2")], true)]).collect();
    given(&all).when(Command::Cancel(on_request())).then_refused(Refusal::AlreadyFulfilled);
    given(&all).when(Command::Fulfil).then(&[]);
    given(&all).when(Command::Confirm).then(&[]);
}
