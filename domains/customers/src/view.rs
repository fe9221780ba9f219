//! A customer as it is shown.

use chrono::{DateTime, Utc};
use customers_contract::{Address, CustomerId, CustomerKind, CustomerStatus};
use kernel::event::Revision;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web_api::{Legacy, Owner};

/// A natural person or a firm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomerKind)]
pub enum Kind {
    /// A natural person.
    Person,
    /// A firm or another legal person.
    Company,
}

impl Kind {
    /// The name it has in the API and in the read model.
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

/// Whether a customer can still order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomerStatus)]
pub enum Status {
    /// Can order.
    Open,
    /// Can no longer order.
    Closed,
}

impl Status {
    /// The name it has in the API and in the read model.
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

/// A customer. Personal fields are null when there is nothing. An erased customer is not found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerView {
    /// The customer's id.
    #[schema(value_type = Uuid)]
    pub id: CustomerId,
    /// Person or company.
    pub kind: Kind,
    /// Whether the customer can still order.
    pub status: Status,
    /// Why the customer is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub closed_reason: Option<String>,
    /// The number people know an imported customer by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<String>,
    /// Full name, or the firm's.
    #[schema(required = true)]
    pub name: Option<String>,
    /// Where to write to.
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
    /// Which system owns the customer.
    pub owner: Owner,
    /// Where an imported customer comes from. The flag `email_shared`: another open customer has
    /// the same e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// When the customer was registered. Of an imported customer the start of the day it became one, in UTC,
    /// or, where the legacy system does not say, when its first change was made that was captured.
    pub registered_at: DateTime<Utc>,
    /// Counts the events of this customer from 0. The `ETag` begins with it.
    #[schema(value_type = u64, minimum = 0)]
    pub revision: Revision,
}

/// A postal address as it is shown. An imported one may lack anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PostalAddress {
    /// Street and number.
    pub line1: String,
    /// What else the street part says.
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
    /// ISO 3166-1 alpha-2 code.
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
