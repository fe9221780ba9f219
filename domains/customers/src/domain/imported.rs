//! What a legacy system says of a customer, and how it is laid over what is known.
//!
//! It is a fact, however ugly: no rule for new customers applies here.

use customers_contract::{
    Address, CustomerId, CustomerImported, CustomerKind, CustomerRevised, CustomerStatus,
    ImportedCustomer,
};
use event_contract::{LegacyReference, Personal};
use kernel::sync::{Patch, changed_fields};
use serde::{Deserialize, Deserializer};

use super::{Customer, Event, Refusal};

/// The flag of a customer that the legacy system has no longer. It goes when the customer is back.
pub const ABSENT: &str = "absent_in_legacy";

/// What a legacy system says of one customer.
#[derive(Debug, Clone)]
pub enum Report {
    /// It is a customer there.
    Present(Box<LegacyCustomer>),
    /// It is not, or is no longer, a customer there.
    Absent {
        /// Why, for people.
        reason: String,
    },
}

/// A customer as a mapping's program states it: a field that is absent leaves ours alone, null
/// clears it. A `kind` that nobody states is a person, a `status` is open. The address counts as
/// one value: a new one replaces the old one whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyCustomer {
    /// Person or company.
    pub kind: Patch<CustomerKind>,
    /// Open or closed.
    pub status: Patch<CustomerStatus>,
    /// Why it is closed.
    pub closed_reason: Patch<String>,
    /// The number people know the customer by.
    pub number: Patch<String>,
    /// Name.
    #[serde(deserialize_with = "personal")]
    pub name: Patch<Personal<String>>,
    /// E-mail address.
    #[serde(deserialize_with = "personal")]
    pub email: Patch<Personal<String>>,
    /// Telephone number.
    #[serde(deserialize_with = "personal")]
    pub phone: Patch<Personal<String>>,
    /// VAT identification number.
    #[serde(deserialize_with = "personal")]
    pub vat_number: Patch<Personal<String>>,
    /// Postal address.
    #[serde(deserialize_with = "personal_address")]
    pub address: Patch<Personal<Address>>,
    /// What is irregular about it, in short words.
    pub flags: Patch<Vec<String>>,
}

/// An address as a mapping's program states it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LegacyAddress {
    line1: Option<String>,
    line2: Option<String>,
    postal_code: Option<String>,
    city: Option<String>,
    country: Option<String>,
}

impl From<LegacyAddress> for Address {
    fn from(address: LegacyAddress) -> Self {
        let LegacyAddress { line1, line2, postal_code, city, country } = address;
        Self { line1: line1.unwrap_or_default(), line2, postal_code, city, country }
    }
}

fn personal<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Patch<Personal<String>>, D::Error> {
    Patch::<String>::deserialize(deserializer).map(marked)
}

fn personal_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Patch<Personal<Address>>, D::Error> {
    Patch::<LegacyAddress>::deserialize(deserializer).map(marked)
}

fn marked<T: Into<U>, U>(patch: Patch<T>) -> Patch<Personal<U>> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => Patch::Set(Personal::Known(value.into())),
    }
}

/// Compares what the legacy system says with what is known and records the difference.
pub(super) fn sync(
    customer: &Customer,
    customer_id: CustomerId,
    legacy: LegacyReference,
    report: Report,
) -> Result<Vec<Event>, Refusal> {
    let known = match customer {
        Customer::Unknown => None,
        Customer::Imported { state, .. } => Some(state),
        Customer::Open(_) | Customer::Closed(_) => return Err(Refusal::OwnedByBascule),
    };
    match (known, report) {
        (None, Report::Absent { .. }) => Ok(vec![]),
        (None, Report::Present(stated)) => {
            let state = stated.over(None);
            Ok(vec![CustomerImported { customer_id, legacy, state }.into()])
        }
        (Some(known), Report::Present(stated)) => {
            Ok(revise(customer_id, legacy, known, stated.over(Some(known))))
        }
        (Some(known), Report::Absent { reason }) => {
            Ok(revise(customer_id, legacy, known, withdrawn(known, reason)))
        }
    }
}

fn revise(
    customer_id: CustomerId,
    legacy: LegacyReference,
    before: &ImportedCustomer,
    state: ImportedCustomer,
) -> Vec<Event> {
    if *before == state {
        return vec![];
    }
    // A customer always has a form as JSON; should it not, that something changed is still recorded.
    let changed = changed_fields(before, &state).unwrap_or_else(|_| vec!["state".to_owned()]);
    vec![CustomerRevised { customer_id, legacy, state, changed }.into()]
}

/// A customer that the legacy system no longer has: closed, everything else as it was.
fn withdrawn(known: &ImportedCustomer, reason: String) -> ImportedCustomer {
    let mut state = known.clone();
    state.status = CustomerStatus::Closed;
    state.closed_reason = Some(reason);
    if !is_withdrawn(&state) {
        state.flags.push(ABSENT.to_owned());
    }
    state
}

fn is_withdrawn(state: &ImportedCustomer) -> bool {
    state.flags.iter().any(|flag| flag == ABSENT)
}

impl LegacyCustomer {
    /// Lays what is stated over what is known.
    fn over(self, known: Option<&ImportedCustomer>) -> ImportedCustomer {
        // One that was gone is back: neither its closing nor the reason for it counts any longer.
        let lasting = known.filter(|known| !is_withdrawn(known));
        let status =
            self.status.over(lasting.map(|known| known.status)).unwrap_or(CustomerStatus::Open);
        let closed_reason = match status {
            CustomerStatus::Open => None,
            CustomerStatus::Closed => {
                self.closed_reason.over(lasting.and_then(|known| known.closed_reason.clone()))
            }
        };
        let mut flags = self.flags.over(known.map(|known| known.flags.clone())).unwrap_or_default();
        flags.retain(|flag| flag != ABSENT);
        ImportedCustomer {
            kind: self.kind.over(known.map(|known| known.kind)).unwrap_or(CustomerKind::Person),
            status,
            closed_reason,
            number: self.number.over(known.and_then(|known| known.number.clone())),
            name: self.name.over(known.and_then(|known| known.name.clone())),
            email: self.email.over(known.and_then(|known| known.email.clone())),
            phone: self.phone.over(known.and_then(|known| known.phone.clone())),
            address: self.address.over(known.and_then(|known| known.address.clone())),
            vat_number: self.vat_number.over(known.and_then(|known| known.vat_number.clone())),
            flags,
        }
    }
}
