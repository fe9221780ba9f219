//! The events and ids that the customers module publishes, and nothing else.

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

/// The kind of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerKind {
    /// A natural person.
    Person,
    /// A company or another legal person.
    Company,
}

/// Whether a customer can place orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerStatus {
    /// The customer can place orders.
    Open,
    /// The customer can no longer place orders.
    Closed,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Street and number. Empty only if a legacy system has none.
    pub line1: String,
    /// Additional address line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Postal code, if the country has postal codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Town.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2 country code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// A customer was registered in this system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRegistered {
    /// The customer.
    pub customer_id: CustomerId,
    /// Kind of the customer.
    pub kind: CustomerKind,
    /// Full name of the person, or name of the company.
    pub name: Personal<String>,
    /// E-mail address, unique among the open customers registered in this system.
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

/// A customer's name, e-mail address or telephone number changed. The event contains the full contact
/// after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerContactChanged {
    /// The customer.
    pub customer_id: CustomerId,
    /// Name after the change.
    pub name: Personal<String>,
    /// E-mail address after the change.
    pub email: Personal<String>,
    /// Telephone number after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
}

/// A customer's postal address changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerAddressChanged {
    /// The customer.
    pub customer_id: CustomerId,
    /// Postal address after the change.
    pub address: Personal<Address>,
}

/// A customer was closed and can no longer place orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerClosed {
    /// The customer.
    pub customer_id: CustomerId,
    /// Reason as free text, which may contain data about the person.
    pub reason: Personal<String>,
}

/// A customer was erased: the person requested the erasure, or nothing is owed to the person any more.
///
/// Every module deletes the data about the person, except data that the law requires it to retain. The
/// keys of the personal values in the log are destroyed, except those of the modules that retain data.
/// The customer's stream has no event after this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerErased {
    /// The customer. Only the id remains.
    pub customer_id: CustomerId,
    /// Time of the decision.
    pub erased_at: DateTime<Utc>,
    /// Origin of an imported customer in the legacy system. Copies of that row are deleted as well, and
    /// the row is not imported again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyReference>,
}

/// The state of a customer in a legacy system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedCustomer {
    /// Kind of the customer.
    pub kind: CustomerKind,
    /// Whether the customer can place orders.
    pub status: CustomerStatus,
    /// Reason for the closing of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<Personal<String>>,
    /// Customer number in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Name of the person or company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    /// E-mail address. Several imported customers may share one.
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
    /// Date on which it became a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<NaiveDate>,
    /// Flags for irregularities of the customer, such as `email_missing`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A customer of a legacy system was imported for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerImported {
    /// The customer.
    pub customer_id: CustomerId,
    /// Origin of the customer in the legacy system.
    pub legacy: LegacyReference,
    /// State in the legacy system.
    pub state: ImportedCustomer,
}

/// An imported customer changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRevised {
    /// The customer.
    pub customer_id: CustomerId,
    /// Origin of the customer in the legacy system.
    pub legacy: LegacyReference,
    /// Full state in the legacy system after the change.
    pub state: ImportedCustomer,
    /// Names of the changed fields of the state.
    pub changed: Vec<String>,
}
