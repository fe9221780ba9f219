//! Returns of delivered goods.

use event_contract::Personal;
use orders_contract::{LineQuantity, OrderLine, OrderReturned};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Event, Order, Refusal};

/// Quantities of the lines, in their order, that the customer has once the order is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    lines: Vec<Decimal>,
    /// Number of returns.
    returns: u32,
}

/// A return of delivered goods.
#[derive(Debug, Clone)]
pub struct ReturnOrder {
    /// Returned quantities. `None` stands for everything that the customer has.
    pub lines: Option<Vec<LineQuantity>>,
    /// Reason as free text.
    pub reason: Personal<String>,
}

impl Delivered {
    pub(super) fn all_of(lines: &[OrderLine]) -> Self {
        Self { lines: lines.iter().map(|line| line.quantity).collect(), returns: 0 }
    }

    pub(super) fn less(mut self, returned: &[LineQuantity]) -> Self {
        for LineQuantity { line, quantity } in returned {
            if let Some(left) = index_of(*line).and_then(|at| self.lines.get_mut(at)) {
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

    /// Returns the quantities that the customer has after a return.
    fn without(&self, returned: &[LineQuantity]) -> Result<Self, Refusal> {
        let mut left = self.clone();
        for LineQuantity { line, quantity } in returned.iter().copied() {
            let of_line = index_of(line).and_then(|at| left.lines.get_mut(at));
            let of_line = of_line.ok_or(Refusal::NoSuchLine { line })?;
            if quantity > *of_line {
                return Err(Refusal::ExceedsDelivery { line, left: *of_line });
            }
            *of_line -= quantity;
        }
        Ok(left)
    }
}

/// Returns the index of a line number, which counts from 1.
fn index_of(line: u32) -> Option<usize> {
    usize::try_from(line.checked_sub(1)?).ok()
}

pub(super) fn take_back(order: &Order, request: ReturnOrder) -> Result<Vec<Event>, Refusal> {
    let ReturnOrder { lines, reason } = request;
    let placed = match order {
        Order::Fulfilled(placed) => placed,
        // Everything is returned: a repeated return of everything changes nothing.
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
