//! A customer is forgotten.

use customers_contract::CustomerErased;
use kernel::decider::Context;

use super::{Customer, Event, Refusal};

/// Whoever the customer was, open or closed, ours or a legacy system's: a person may ask to be
/// forgotten (Regulation (EU) 2016/679, article 17), and no system's ownership stands in the way.
pub(super) fn erase(customer: &Customer, context: &Context) -> Result<Vec<Event>, Refusal> {
    let (customer_id, legacy) = match customer {
        Customer::Unknown => return Err(Refusal::NoSuchCustomer),
        Customer::Erased => return Ok(vec![]), // asking twice changes nothing
        Customer::Open(account) | Customer::Closed(account) => (account.customer_id, None),
        Customer::Imported { customer_id, legacy, .. } => (*customer_id, Some(legacy.clone())),
    };
    Ok(vec![CustomerErased { customer_id, erased_at: context.now, legacy }.into()])
}
