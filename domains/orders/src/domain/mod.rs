//! What an order is, what can be asked of it, and what happens then. Pure business.

mod legacy;
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

pub use legacy::{LegacyLine, LegacyOrder, LegacyReport};
pub use placing::PlaceOrder;
pub use returning::{Delivered, ReturnOrder};

kernel::event_set! {
    /// What happens to an order.
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

/// What an order is at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Nothing yet.
    #[default]
    NotPlaced,
    /// Placed here; its invoice is not paid yet.
    AwaitingPayment(PlacedHere),
    /// Paid, or confirmed by hand: will be carried out.
    Confirmed(PlacedHere),
    /// Everything was delivered. Some of it may have come back since.
    Fulfilled(PlacedHere),
    /// Everything that was delivered came back.
    Returned(PlacedHere),
    /// Will not be carried out.
    Cancelled(PlacedHere),
    /// Imported, and decided upon by the legacy system.
    OwnedByLegacy(Box<ImportedHere>),
}

/// What later decisions need to know of an order placed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedHere {
    /// The order.
    pub order_id: OrderId,
    /// Customer who placed the order.
    pub customer_id: CustomerId,
    /// What is with the customer once it is delivered.
    pub delivered: Delivered,
}

/// An imported order as it was last reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedHere {
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said last.
    pub state: ImportedOrder,
}

/// What can be asked of an order.
#[derive(Debug, Clone)]
pub enum Command {
    /// A customer orders.
    Place(PlaceOrder),
    /// It is paid and will be carried out.
    ConfirmPaid,
    /// It will be carried out, whether it is paid or not.
    Confirm,
    /// Everything was delivered.
    Fulfil,
    /// It will not be carried out.
    Cancel(CancellationReason),
    /// Something delivered came back.
    Return(ReturnOrder),
    /// The legacy system says how it stands there.
    Sync(Box<LegacyReport>),
}

/// Why an order says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no order of this id.
    #[error("there is no such order")]
    NoSuchOrder,
    /// The id was used for an order before.
    #[error("this order was placed before")]
    AlreadyPlaced,
    /// There is nothing to invoice.
    #[error("the order's total must be above zero")]
    NothingToPay,
    /// The amounts are beyond what can be computed with.
    #[error("the order's total is too large to be computed exactly")]
    TotalTooLarge,
    /// Only a confirmed order can be fulfilled.
    #[error("the order is not confirmed yet")]
    NotConfirmed,
    /// A cancelled order stays cancelled.
    #[error("the order is cancelled")]
    AlreadyCancelled,
    /// What was delivered can no longer be cancelled.
    #[error("the order is fulfilled already")]
    AlreadyFulfilled,
    /// A payment that failed does not cancel an order that was confirmed.
    #[error("the order is confirmed: it is carried out though its payment failed")]
    AlreadyConfirmed,
    /// Only what was delivered can come back.
    #[error("the order is not fulfilled yet; cancel it instead")]
    NotFulfilled,
    /// The order has no line of this number.
    #[error("the order has no line {line}")]
    NoSuchLine {
        /// The number, from 1.
        line: u32,
    },
    /// More is to come back than is with the customer.
    #[error("of line {line} at most {left} can be returned")]
    ExceedsDelivery {
        /// The line's place in the order, from 1.
        line: u32,
        /// What of it is with the customer.
        left: Decimal,
    },
    /// The legacy system decides about this order.
    #[error("the legacy system owns this order; change it there")]
    OwnedByLegacy,
    /// bascule decides about this order: the legacy system's word no longer counts.
    #[error("the order is no longer the legacy system's")]
    OwnedByBascule,
    /// The legacy system does not say what no order can be without.
    #[error("`{field}` is missing")]
    IncompleteReport {
        /// What is missing.
        field: &'static str,
    },
}

/// Decides about orders.
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
            Command::Sync(report) => legacy::sync(order, *report),
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
            // What follows from it is billing's.
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

    /// A legacy system may revise an order as often as it likes.
    fn snapshots() -> Option<SnapshotRule<Order>> {
        Some(SnapshotRule::new(2, 50, |stream, order| match order {
            Order::OwnedByLegacy(imported) => imported.state.customer_id.or_else(|| stream.id()),
            _ => None,
        }))
    }
}

impl Order {
    /// The next stage of an order placed here; anything else stays what it is.
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
        // It was confirmed before: hearing of it twice changes nothing.
        Order::Confirmed(_) | Order::Fulfilled(_) | Order::Returned(_) => Ok(vec![]),
        Order::Cancelled(_) => Err(Refusal::AlreadyCancelled),
        Order::NotPlaced => Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

/// Somebody will not wait for the payment: billing keeps the invoice due whatever becomes of it.
fn confirm(order: &Order) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::AwaitingPayment(PlacedHere { order_id, .. }) => {
            let order_id = *order_id;
            Ok(vec![OrderConfirmed { order_id }.into(), PaymentDeferred { order_id }.into()])
        }
        // It was confirmed before: asking twice changes nothing.
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
        // The first reason stands.
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
