//! Erasing a customer.

use customers_contract::CustomerErased;
use kernel::decider::Context;

use super::{Customer, Event, Refusal};

/// Erases an open, closed or imported customer. The right to erasure (Regulation (EU) 2016/679, article 17)
/// does not depend on the system that owns the customer.
pub(super) fn erase(customer: &Customer, context: &Context) -> Result<Vec<Event>, Refusal> {
    let (customer_id, legacy) = match customer {
        Customer::Unknown => return Err(Refusal::NoSuchCustomer),
        Customer::Erased => return Ok(vec![]), // a repeated command changes nothing
        Customer::Open(account) | Customer::Closed(account) => (account.customer_id, None),
        Customer::Imported { customer_id, legacy, .. } => (*customer_id, Some(legacy.clone())),
    };
    Ok(vec![CustomerErased { customer_id, erased_at: context.now, legacy }.into()])
}
