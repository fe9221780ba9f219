//! The decisions on an order. Pure: no I/O, no clock, no randomness.

mod imported;
mod placing;
mod returning;
#[cfg(test)]
mod tests;

use customers_contract::CustomerId;
use event_contract::LegacyReference;
use kernel::decider::{Context, Decider};
use kernel::snapshot::SnapshotRule;
use orders_contract::{
    CancellationReason, ImportedOrder, OrderCancelled, OrderConfirmed, OrderFulfilled, OrderId,
    OrderImported, OrderPlaced, OrderReturned, OrderRevised, PaymentDeferred,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use imported::{LegacyLine, LegacyOrder, LegacyReport};
pub use placing::PlaceOrder;
pub use returning::{Delivered, ReturnOrder};

kernel::event_set! {
    /// The events of an order.
    pub enum Event {
        Placed(OrderPlaced),
        Confirmed(OrderConfirmed),
        PaymentDeferred(PaymentDeferred),
        Fulfilled(OrderFulfilled),
        Returned(OrderReturned),
        Cancelled(OrderCancelled),
        Imported(OrderImported),
        Revised(OrderRevised),
    }
}

/// An order at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// The order does not exist yet.
    #[default]
    NotPlaced,
    /// Placed in this system; the invoice is not paid yet.
    AwaitingPayment(PlacedHere),
    /// Paid, or confirmed by a command before the payment.
    Confirmed(PlacedHere),
    /// All lines were delivered. Some of the goods may be returned.
    Fulfilled(PlacedHere),
    /// All goods are returned.
    Returned(PlacedHere),
    /// Cancelled before the delivery.
    Cancelled(PlacedHere),
    /// Imported; the legacy system owns the order.
    OwnedByLegacy(Box<ImportedHere>),
}

/// State of an order placed in this system, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedHere {
    /// The order.
    pub order_id: OrderId,
    /// Customer who placed the order.
    pub customer_id: CustomerId,
    /// Quantities that the customer has once the order is delivered.
    pub delivered: Delivered,
}

/// State of an imported order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedHere {
    /// Origin of the order in the legacy system.
    pub legacy: LegacyReference,
    /// Last reported state in the legacy system.
    pub state: ImportedOrder,
}

/// A command on an order.
#[derive(Debug, Clone)]
pub enum Command {
    /// Places the order.
    Place(PlaceOrder),
    /// Confirms the order, which is paid.
    ConfirmPaid,
    /// Confirms the order without waiting for the payment.
    Confirm,
    /// Records that all lines were delivered.
    Fulfil,
    /// Cancels the order.
    Cancel(CancellationReason),
    /// Takes back delivered goods.
    Return(ReturnOrder),
    /// Imports the order's state in the legacy system.
    Sync(Box<LegacyReport>),
}

/// Why a command on an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The order does not exist.
    #[error("there is no such order")]
    NoSuchOrder,
    /// The id belongs to another order.
    #[error("an order with this id already exists")]
    AlreadyPlaced,
    /// The total is not above zero, so that there is nothing to invoice.
    #[error("the order's total must be above zero")]
    NothingToPay,
    /// The total exceeds the range of exact arithmetic.
    #[error("the order's total is too large to be computed exactly")]
    TotalTooLarge,
    /// The order is not confirmed: only a confirmed order can be fulfilled.
    #[error("the order is not confirmed yet")]
    NotConfirmed,
    /// The order is cancelled, and a cancellation is final.
    #[error("the order is cancelled")]
    AlreadyCancelled,
    /// The order is fulfilled and can no longer be cancelled.
    #[error("the order is already fulfilled")]
    AlreadyFulfilled,
    /// The order is confirmed: a failed payment does not cancel it.
    #[error("the order is confirmed; a failed payment does not cancel it")]
    AlreadyConfirmed,
    /// The order is not fulfilled: only delivered goods can be returned.
    #[error("the order is not fulfilled yet; cancel it instead")]
    NotFulfilled,
    /// The order has no line of this number.
    #[error("the order has no line {line}")]
    NoSuchLine {
        /// Line number, from 1.
        line: u32,
    },
    /// The return exceeds the quantity that the customer has.
    #[error("at most {left} of line {line} can be returned")]
    ExceedsDelivery {
        /// Line number, from 1.
        line: u32,
        /// Quantity of the line that the customer has.
        left: Decimal,
    },
    /// The legacy system owns the order.
    #[error("the legacy system owns this order; change it there")]
    OwnedByLegacy,
    /// bascule owns the order: the state in the legacy system is not imported.
    #[error("bascule owns this order; the legacy system cannot change it")]
    OwnedByBascule,
    /// The reported state lacks a required field.
    #[error("`{field}` is missing")]
    IncompleteReport {
        /// Name of the field.
        field: &'static str,
    },
}

/// The order as an aggregate: stream `order-<id>`.
#[derive(Debug, Clone, Copy)]
pub struct OrderDecider;

impl Decider for OrderDecider {
    const CATEGORY: &'static str = "order";
    type Id = OrderId;
    type State = Order;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(order: &Order, command: Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Place(request) => placing::place(order, request),
            Command::ConfirmPaid => confirm_paid(order),
            Command::Confirm => confirm(order),
            Command::Fulfil => fulfil(order),
            Command::Cancel(reason) => cancel(order, reason),
            Command::Return(request) => returning::take_back(order, request),
            Command::Sync(report) => imported::sync(order, *report),
        }
    }

    fn evolve(order: Order, event: &Event) -> Order {
        match event {
            Event::Placed(OrderPlaced { order_id, customer_id, lines, .. }) => {
                let (order_id, customer_id) = (*order_id, CustomerId::from(*customer_id));
                let delivered = Delivered::all_of(lines);
                Order::AwaitingPayment(PlacedHere { order_id, customer_id, delivered })
            }
            Event::Confirmed(_) => order.becomes(Order::Confirmed),
            // Only billing reacts to it: the invoice stays due.
            Event::PaymentDeferred(_) => order,
            Event::Returned(returned) => order.becomes(|placed| {
                let placed =
                    PlacedHere { delivered: placed.delivered.less(&returned.lines), ..placed };
                if returned.complete { Order::Returned(placed) } else { Order::Fulfilled(placed) }
            }),
            Event::Fulfilled(_) => order.becomes(Order::Fulfilled),
            Event::Cancelled(_) => order.becomes(Order::Cancelled),
            Event::Imported(OrderImported { legacy, state, .. })
            | Event::Revised(OrderRevised { legacy, state, .. }) => {
                let (legacy, state) = (legacy.clone(), state.clone());
                Order::OwnedByLegacy(Box::new(ImportedHere { legacy, state }))
            }
        }
    }

    /// A legacy system may revise an order any number of times.
    fn snapshots() -> Option<SnapshotRule<Order>> {
        Some(SnapshotRule::new(2, 50, |stream, order| match order {
            Order::OwnedByLegacy(imported) => imported.state.customer_id.or_else(|| stream.id()),
            _ => None,
        }))
    }
}

impl Order {
    /// Returns the next stage of an order placed in this system, and any other order unchanged.
    fn becomes(self, next: impl FnOnce(PlacedHere) -> Self) -> Self {
        match self {
            Self::AwaitingPayment(placed)
            | Self::Confirmed(placed)
            | Self::Fulfilled(placed)
            | Self::Returned(placed)
            | Self::Cancelled(placed) => next(placed),
            other @ (Self::NotPlaced | Self::OwnedByLegacy(_)) => other,
        }
    }
}

fn confirm_paid(order: &Order) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::AwaitingPayment(placed) => {
            Ok(vec![OrderConfirmed { order_id: placed.order_id }.into()])
        }
        // Already confirmed: a repeated command changes nothing.
        Order::Confirmed(_) | Order::Fulfilled(_) | Order::Returned(_) => Ok(vec![]),
        Order::Cancelled(_) => Err(Refusal::AlreadyCancelled),
        Order::NotPlaced => Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

/// Confirms before the payment: `PaymentDeferred` has billing keep the invoice due if the payment fails.
fn confirm(order: &Order) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::AwaitingPayment(PlacedHere { order_id, .. }) => {
            let order_id = *order_id;
            Ok(vec![OrderConfirmed { order_id }.into(), PaymentDeferred { order_id }.into()])
        }
        // Already confirmed: a repeated command changes nothing.
        Order::Confirmed(_) | Order::Fulfilled(_) | Order::Returned(_) => Ok(vec![]),
        Order::Cancelled(_) => Err(Refusal::AlreadyCancelled),
        Order::NotPlaced => Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

fn fulfil(order: &Order) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::Confirmed(placed) => Ok(vec![OrderFulfilled { order_id: placed.order_id }.into()]),
        Order::Fulfilled(_) | Order::Returned(_) => Ok(vec![]),
        Order::AwaitingPayment(_) => Err(Refusal::NotConfirmed),
        Order::Cancelled(_) => Err(Refusal::AlreadyCancelled),
        Order::NotPlaced => Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

fn cancel(order: &Order, reason: CancellationReason) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::Confirmed(_) if is_of_payment(&reason) => Err(Refusal::AlreadyConfirmed),
        Order::AwaitingPayment(placed) | Order::Confirmed(placed) => {
            let PlacedHere { order_id, customer_id, .. } = *placed;
            let customer_id = customer_id.as_uuid();
            Ok(vec![OrderCancelled { order_id, customer_id, reason }.into()])
        }
        // Already cancelled: the first reason is kept.
        Order::Cancelled(_) => Ok(vec![]),
        Order::Fulfilled(_) | Order::Returned(_) => Err(Refusal::AlreadyFulfilled),
        Order::NotPlaced => Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

fn is_of_payment(reason: &CancellationReason) -> bool {
    match reason {
        CancellationReason::Requested { .. } => false,
        CancellationReason::PaymentDeclined
        | CancellationReason::PaymentExpired
        | CancellationReason::PaymentCancelled => true,
    }
}
