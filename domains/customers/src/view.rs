//! Customers as the API shows them.

use chrono::{DateTime, Utc};
use customers_contract::{Address, CustomerId, CustomerKind, CustomerStatus};
use kernel::event::Revision;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web_api::{Legacy, Owner};

/// The kind of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomerKind)]
pub enum Kind {
    /// A natural person.
    Person,
    /// A company or another legal person.
    Company,
}

impl Kind {
    /// Returns the name in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Company => "company",
        }
    }
}

impl From<CustomerKind> for Kind {
    fn from(kind: CustomerKind) -> Self {
        match kind {
            CustomerKind::Person => Self::Person,
            CustomerKind::Company => Self::Company,
        }
    }
}

impl From<Kind> for CustomerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Person => Self::Person,
            Kind::Company => Self::Company,
        }
    }
}

/// Whether a customer can place orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomerStatus)]
pub enum Status {
    /// The customer can place orders.
    Open,
    /// The customer can no longer place orders.
    Closed,
}

impl Status {
    /// Returns the name in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl From<CustomerStatus> for Status {
    fn from(status: CustomerStatus) -> Self {
        match status {
            CustomerStatus::Open => Self::Open,
            CustomerStatus::Closed => Self::Closed,
        }
    }
}

/// A customer. A personal field without a value is null. An erased customer is not found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerView {
    /// The customer's id.
    #[schema(value_type = Uuid)]
    pub id: CustomerId,
    /// Kind of the customer.
    pub kind: Kind,
    /// Whether the customer can place orders.
    pub status: Status,
    /// Reason for the closing of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub closed_reason: Option<String>,
    /// Customer number of an imported customer in the legacy system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<String>,
    /// Full name of the person, or name of the company.
    #[schema(required = true)]
    pub name: Option<String>,
    /// E-mail address.
    #[schema(required = true)]
    pub email: Option<String>,
    /// Telephone number.
    #[schema(required = true)]
    pub phone: Option<String>,
    /// Postal address.
    #[schema(required = true)]
    pub address: Option<PostalAddress>,
    /// VAT identification number.
    #[schema(required = true)]
    pub vat_number: Option<String>,
    /// System that owns the customer.
    pub owner: Owner,
    /// Origin of an imported customer in the legacy system. The flag `email_shared` means that another open
    /// customer has the same e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// Time of the registration. For an imported customer, the start (in UTC) of the date on which it
    /// became a customer or, without such a date, the time of its first captured change.
    pub registered_at: DateTime<Utc>,
    /// Revision: the number of the customer's last event, from 0. The `ETag` begins with it.
    #[schema(value_type = u64, minimum = 0)]
    pub revision: Revision,
}

/// A postal address. An imported address may lack any field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PostalAddress {
    /// Street and number.
    pub line1: String,
    /// Additional address line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line2: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub postal_code: Option<String>,
    /// Town.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2 country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub country: Option<String>,
}

impl From<Address> for PostalAddress {
    fn from(address: Address) -> Self {
        let Address { line1, line2, postal_code, city, country } = address;
        Self { line1, line2, postal_code, city, country }
    }
}
