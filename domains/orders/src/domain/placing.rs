//! Placing an order. Its totals are computed once, here.

use customers_contract::CustomerId;
use kernel::money::{self, Currency, PricedLine};
use orders_contract::{OrderId, OrderLine, OrderPlaced};
use rust_decimal::Decimal;

use super::{Event, Order, Refusal};

/// A new order. The handler checks that the customer exists; the order does not.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceOrder {
    /// Id of the new order.
    pub order_id: OrderId,
    /// Customer who places the order.
    pub customer_id: CustomerId,
    /// Currency of the prices.
    pub currency: Currency,
    /// Payment method, in the notation of the payment provider.
    pub payment_method: String,
    /// Ordered lines.
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
    // An order without anything to pay would wait for its payment for ever.
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
