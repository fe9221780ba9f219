//! What was delivered and comes back.

use event_contract::Personal;
use orders_contract::{LineQuantity, OrderLine, OrderReturned};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Event, Order, Refusal};

/// Of each line, in their order, what is with the customer once it is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    lines: Vec<Decimal>,
    /// How often something came back.
    returns: u32,
}

/// Something comes back.
#[derive(Debug, Clone)]
pub struct ReturnOrder {
    /// What; none stands for everything that is still with the customer.
    pub lines: Option<Vec<LineQuantity>>,
    /// In somebody's words.
    pub reason: Personal<String>,
}

impl Delivered {
    pub(super) fn all_of(lines: &[OrderLine]) -> Self {
        Self { lines: lines.iter().map(|line| line.quantity).collect(), returns: 0 }
    }

    pub(super) fn less(mut self, returned: &[LineQuantity]) -> Self {
        for LineQuantity { line, quantity } in returned {
            if let Some(left) = place(*line).and_then(|at| self.lines.get_mut(at)) {
                *left -= quantity;
            }
        }
        self.returns += 1;
        self
    }

    fn everything(&self) -> Vec<LineQuantity> {
        let lines = (1_u32..).zip(&self.lines);
        let lines = lines.filter(|(_, quantity)| !quantity.is_zero());
        lines.map(|(line, quantity)| LineQuantity { line, quantity: *quantity }).collect()
    }

    /// What is left when this comes back.
    fn without(&self, returned: &[LineQuantity]) -> Result<Self, Refusal> {
        let mut left = self.clone();
        for LineQuantity { line, quantity } in returned.iter().copied() {
            let of_line = place(line).and_then(|at| left.lines.get_mut(at));
            let of_line = of_line.ok_or(Refusal::NoSuchLine { line })?;
            if quantity > *of_line {
                return Err(Refusal::ExceedsDelivery { line, left: *of_line });
            }
            *of_line -= quantity;
        }
        Ok(left)
    }
}

fn place(line: u32) -> Option<usize> {
    usize::try_from(line.checked_sub(1)?).ok()
}

pub(super) fn take_back(order: &Order, request: ReturnOrder) -> Result<Vec<Event>, Refusal> {
    let ReturnOrder { lines, reason } = request;
    let placed = match order {
        Order::Fulfilled(placed) => placed,
        // Everything is back already: asking twice changes nothing, asking for more does not work.
        Order::Returned(_) if lines.is_none() => return Ok(vec![]),
        Order::Returned(placed) => placed,
        Order::AwaitingPayment(_) | Order::Confirmed(_) => return Err(Refusal::NotFulfilled),
        Order::Cancelled(_) => return Err(Refusal::AlreadyCancelled),
        Order::NotPlaced => return Err(Refusal::NoSuchOrder),
        Order::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let lines = lines.unwrap_or_else(|| placed.delivered.everything());
    let left = placed.delivered.without(&lines)?;
    Ok(vec![
        OrderReturned {
            order_id: placed.order_id,
            customer_id: placed.customer_id.as_uuid(),
            number: placed.delivered.returns + 1,
            lines,
            complete: left.everything().is_empty(),
            reason,
        }
        .into(),
    ])
}
