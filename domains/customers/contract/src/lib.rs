//! What the customers module publishes: its events and ids, nothing else.

use chrono::{DateTime, NaiveDate, Utc};
use event_contract::{LegacyReference, Personal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "customers.CustomerRegistered.v1": CustomerRegistered, about |event| event.customer_id;
    "customers.CustomerContactChanged.v1": CustomerContactChanged, about |event| event.customer_id;
    "customers.CustomerAddressChanged.v1": CustomerAddressChanged, about |event| event.customer_id;
    "customers.CustomerClosed.v1": CustomerClosed, about |event| event.customer_id;
    "customers.CustomerErased.v1": CustomerErased;
    "customers.CustomerImported.v1": CustomerImported, about |event| event.customer_id;
    "customers.CustomerRevised.v1": CustomerRevised, about |event| event.customer_id;
}

event_contract::id! {
    /// Identifies a customer.
    pub CustomerId of "customer";
}

/// A natural person or a firm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerKind {
    /// A natural person.
    Person,
    /// A firm or another legal person.
    Company,
}

/// Whether a customer can still order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerStatus {
    /// Can order.
    Open,
    /// Can no longer order.
    Closed,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Street and number. Empty only where a legacy system had none.
    pub line1: String,
    /// What else the street part says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Postal code, where the country has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Town.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// A customer was registered here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRegistered {
    /// The customer.
    pub customer_id: CustomerId,
    /// Person or company.
    pub kind: CustomerKind,
    /// Full name, or the firm's.
    pub name: Personal<String>,
    /// Where to write to; unique among the open customers registered here.
    pub email: Personal<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
    /// Postal address.
    pub address: Personal<Address>,
    /// VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_number: Option<Personal<String>>,
}

/// A customer's name, e-mail address or telephone number changed. The full contact afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerContactChanged {
    /// The customer.
    pub customer_id: CustomerId,
    /// Name now.
    pub name: Personal<String>,
    /// E-mail address now.
    pub email: Personal<String>,
    /// Telephone number now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
}

/// A customer moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerAddressChanged {
    /// The customer.
    pub customer_id: CustomerId,
    /// Address now.
    pub address: Personal<Address>,
}

/// A customer was closed and can no longer order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerClosed {
    /// The customer.
    pub customer_id: CustomerId,
    /// Why, in somebody's words: they may speak of the person.
    pub reason: Personal<String>,
}

/// A customer was erased: the person asked to be forgotten, or nothing is owed to them any more.
///
/// Whoever keeps anything about the person deletes it, but what the law has them retain; the keys of
/// the personal values in the log are destroyed, those of the purposes that retain them excepted.
/// Nothing is recorded of the customer after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerErased {
    /// The customer, who is only an id from now on.
    pub customer_id: CustomerId,
    /// When it was decided.
    pub erased_at: DateTime<Utc>,
    /// The row of a legacy system that the customer was imported from: copies of it go, too, and
    /// are not taken again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyReference>,
}

/// A customer as a legacy system has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedCustomer {
    /// Person or company.
    pub kind: CustomerKind,
    /// Open or closed.
    pub status: CustomerStatus,
    /// Why it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<Personal<String>>,
    /// The number people know the customer by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    /// E-mail address, if any; several customers may have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<String>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Personal<Address>>,
    /// VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_number: Option<Personal<String>>,
    /// The day it became a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<NaiveDate>,
    /// What is irregular about it, in short words such as `email_missing`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A customer of a legacy system was seen for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerImported {
    /// The customer.
    pub customer_id: CustomerId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says.
    pub state: ImportedCustomer,
}

/// An imported customer changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRevised {
    /// The customer.
    pub customer_id: CustomerId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says now, in full.
    pub state: ImportedCustomer,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}
