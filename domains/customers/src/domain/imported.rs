//! What a legacy system says of a customer, and how it is laid over what is known.
//!
//! It is a fact, however ugly: no rule for new customers applies here.

use chrono::NaiveDate;
use customers_contract::{
    Address, CustomerId, CustomerImported, CustomerKind, CustomerRevised, CustomerStatus,
    ImportedCustomer,
};
use event_contract::Personal;
use kernel::sync::{News, Patch, compare};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{Customer, Event, Refusal};

/// The flag of a customer that the legacy system has no longer. It goes when the customer is back.
pub const ABSENT: &str = "absent_in_legacy";

/// How a customer stands in the legacy system.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyCustomer>;

/// A customer as a mapping's program states it: a field that is absent leaves ours alone, null
/// clears it. The address counts as one value: a new one replaces the old one whole.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyCustomer {
    /// Person or company; a person if nothing is said.
    #[schemars(example = &"company")]
    pub kind: Patch<CustomerKind>,
    /// Whether the customer can still order; open if nothing is said.
    #[schemars(example = &"open")]
    pub status: Patch<CustomerStatus>,
    /// Why it is closed; counts only while it is.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"inactive")]
    pub closed_reason: Patch<Personal<String>>,
    /// The number people know the customer by.
    #[schemars(example = &"C12")]
    pub number: Patch<String>,
    /// The day it became a customer.
    #[schemars(example = &"2012-05-01")]
    pub since: Patch<NaiveDate>,
    /// Name of the person or firm.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"Établissements Œuf & Fils")]
    pub name: Patch<Personal<String>>,
    /// E-mail address; several customers may have the same.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"compta@exemple.test")]
    pub email: Patch<Personal<String>>,
    /// Telephone number.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"+33 1 02 03 04 05")]
    pub phone: Patch<Personal<String>>,
    /// VAT identification number.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"FR40303265045")]
    pub vat_number: Patch<Personal<String>>,
    /// Postal address.
    #[serde(deserialize_with = "personal_address")]
    #[schemars(with = "Patch<LegacyAddress>", extend("x-personal" = true))]
    pub address: Patch<Personal<Address>>,
    /// What is irregular about it, in short words that say nothing of the person.
    #[schemars(example = ["email_missing"])]
    pub flags: Patch<Vec<String>>,
}

/// An address as a mapping's program states it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LegacyAddress {
    /// Street and house, or what stands in their place; empty if nothing is said.
    #[schemars(example = &"12 rue de la Paix")]
    line1: Option<String>,
    /// What else belongs above the town.
    #[schemars(example = &"Bâtiment B")]
    line2: Option<String>,
    /// Postal code.
    #[schemars(example = &"75002")]
    postal_code: Option<String>,
    /// Town.
    #[schemars(example = &"Paris")]
    city: Option<String>,
    /// ISO 3166-1 code of two letters.
    #[schemars(example = &"FR")]
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
    Ok(Patch::<String>::deserialize(deserializer)?.map(Personal::Known))
}

fn personal_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Patch<Personal<Address>>, D::Error> {
    let address = Patch::<LegacyAddress>::deserialize(deserializer)?;
    Ok(address.map(|address| Personal::Known(address.into())))
}

/// Compares what the legacy system says with what is known and records the difference.
pub(super) fn sync(customer: &Customer, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let known = match customer {
        Customer::Unknown => None,
        Customer::Imported { state, .. } => Some(state),
        Customer::Open(_) | Customer::Closed(_) => return Err(Refusal::OwnedByBascule),
        Customer::Erased => return Err(Refusal::CustomerErased),
    };
    let LegacyReport { id, legacy, state: word } = report;
    let customer_id = CustomerId::from(id);
    let merge = |known: Option<&ImportedCustomer>, stated: LegacyCustomer| Ok(stated.over(known));
    Ok(match compare(known, word, merge, withdrawn)? {
        News::None => vec![],
        News::Imported(state) => vec![CustomerImported { customer_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![CustomerRevised { customer_id, legacy, state, changed }.into()]
        }
    })
}

/// A customer that the legacy system no longer has: closed, everything else as it was.
fn withdrawn(known: &ImportedCustomer, reason: String) -> ImportedCustomer {
    let mut state = known.clone();
    state.status = CustomerStatus::Closed;
    state.closed_reason = Some(reason.into());
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
            since: self.since.over(known.and_then(|known| known.since)),
            name: self.name.over(known.and_then(|known| known.name.clone())),
            email: self.email.over(known.and_then(|known| known.email.clone())),
            phone: self.phone.over(known.and_then(|known| known.phone.clone())),
            address: self.address.over(known.and_then(|known| known.address.clone())),
            vat_number: self.vat_number.over(known.and_then(|known| known.vat_number.clone())),
            flags,
        }
    }
}
