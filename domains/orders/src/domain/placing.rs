//! Placing an order: its totals are computed here, once.

use customers_contract::CustomerId;
use kernel::money::{self, Currency, PricedLine};
use orders_contract::{OrderId, OrderLine, OrderPlaced};
use rust_decimal::Decimal;

use super::{Event, Order, Refusal};

/// What a customer orders. Whether the customer is known is not the order's own business.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceOrder {
    /// The new order.
    pub order_id: OrderId,
    /// Who orders.
    pub customer_id: CustomerId,
    /// What the prices are in.
    pub currency: Currency,
    /// How it is to be paid, as the payment provider understands it.
    pub payment_method: String,
    /// What is ordered.
    pub lines: Vec<OrderLine>,
}

pub(super) fn place(order: &Order, request: PlaceOrder) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::NotPlaced => {}
        Order::AwaitingPayment(_)
        | Order::Confirmed(_)
        | Order::Fulfilled(_)
        | Order::Returned(_)
        | Order::Cancelled(_) => return Err(Refusal::AlreadyPlaced),
        Order::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    }
    let priced: Vec<_> = request
        .lines
        .iter()
        .map(|line| PricedLine {
            quantity: line.quantity,
            unit_price: line.unit_price,
            vat_rate: line.vat_rate,
        })
        .collect();
    let totals = money::totals(&priced, request.currency).map_err(|_| Refusal::TotalTooLarge)?;
    // An order that costs nothing would wait for ever for a payment that nobody can make.
    if totals.total <= Decimal::ZERO {
        return Err(Refusal::NothingToPay);
    }
    Ok(vec![
        OrderPlaced {
            order_id: request.order_id,
            customer_id: request.customer_id.as_uuid(),
            currency: request.currency.code().to_owned(),
            payment_method: request.payment_method,
            lines: request.lines,
            total_net: totals.net,
            total_vat: totals.vat_sum,
            total: totals.total,
        }
        .into(),
    ])
}
