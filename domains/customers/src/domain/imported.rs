//! Customers that the legacy system owns: the reported state is merged over the known state, and the
//! difference is recorded. The rules for new customers do not apply.

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

/// The flag of a customer that the legacy system no longer has. It is removed when the customer is reported
/// again.
pub const ABSENT: &str = "absent_in_legacy";

/// A customer as the legacy system reports it.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyCustomer>;

/// The state of a customer in the legacy system. A field that is absent keeps its known value, a field that
/// is null is cleared. The address is one value: a new address replaces all fields of the known one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyCustomer {
    /// Kind of the customer; a person by default.
    #[schemars(example = &"company")]
    pub kind: Patch<CustomerKind>,
    /// Whether the customer can place orders; open by default.
    #[schemars(example = &"open")]
    pub status: Patch<CustomerStatus>,
    /// Reason for the closing. Ignored while the customer is open.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"inactive")]
    pub closed_reason: Patch<Personal<String>>,
    /// Customer number in the legacy system.
    #[schemars(example = &"C12")]
    pub number: Patch<String>,
    /// Date on which it became a customer.
    #[schemars(example = &"2012-05-01")]
    pub since: Patch<NaiveDate>,
    /// Name of the person or company.
    #[serde(deserialize_with = "personal")]
    #[schemars(with = "Patch<String>", extend("x-personal" = true), example = &"Établissements Œuf & Fils")]
    pub name: Patch<Personal<String>>,
    /// E-mail address. Several customers may share one.
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
    /// Flags for irregularities of the customer. They must not contain personal data.
    #[schemars(example = ["email_missing"])]
    pub flags: Patch<Vec<String>>,
}

/// An address in the legacy system.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LegacyAddress {
    /// Street and number, or what the legacy system has instead; empty by default.
    #[schemars(example = &"12 rue de la Paix")]
    line1: Option<String>,
    /// Additional address line.
    #[schemars(example = &"Bâtiment B")]
    line2: Option<String>,
    /// Postal code.
    #[schemars(example = &"75002")]
    postal_code: Option<String>,
    /// Town.
    #[schemars(example = &"Paris")]
    city: Option<String>,
    /// ISO 3166-1 alpha-2 country code.
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

/// Compares the reported state with the known state and records the difference.
pub(super) fn sync(customer: &Customer, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let known = match customer {
        Customer::Unknown => None,
        Customer::Imported { state, .. } => Some(state),
        Customer::Open(_) | Customer::Closed(_) => return Err(Refusal::OwnedByBascule),
        Customer::Erased => return Err(Refusal::CustomerErased),
    };
    let LegacyReport { id, legacy, state: reported } = report;
    let customer_id = CustomerId::from(id);
    let merge = |known: Option<&ImportedCustomer>, stated: LegacyCustomer| Ok(stated.over(known));
    Ok(match compare(known, reported, merge, withdrawn)? {
        News::None => vec![],
        News::Imported(state) => vec![CustomerImported { customer_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![CustomerRevised { customer_id, legacy, state, changed }.into()]
        }
    })
}

/// Returns the closed state of a customer that the legacy system no longer has. All other fields are kept.
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
    /// Merges the reported state over the known state.
    fn over(self, known: Option<&ImportedCustomer>) -> ImportedCustomer {
        // A customer that was absent is reported again: its status and the reason no longer apply.
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
