//! Older versions of events: no longer written, read for ever.
//!
//! In version 1 the reasons for a closing were stored in the clear.

use event_contract::{LegacyReference, Personal, Published};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Address, CustomerClosed, CustomerId, CustomerImported, CustomerKind, CustomerRevised,
    CustomerStatus, ImportedCustomer,
};

/// Version 1 of [`CustomerClosed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerClosedV1 {
    /// The customer.
    pub customer_id: CustomerId,
    /// Why.
    pub reason: String,
}

impl Published for CustomerClosedV1 {
    const TYPE: &'static str = "customers.CustomerClosed.v1";
}

impl From<CustomerClosedV1> for CustomerClosed {
    fn from(CustomerClosedV1 { customer_id, reason }: CustomerClosedV1) -> Self {
        Self { customer_id, reason: reason.into() }
    }
}

/// [`ImportedCustomer`] as version 1 of the events had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedCustomerV1 {
    /// Person or company.
    pub kind: CustomerKind,
    /// Open or closed.
    pub status: CustomerStatus,
    /// Why it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<String>,
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
    /// What is irregular about it, in short words such as `email_missing`.
    #[serde(default)]
    pub flags: Vec<String>,
}

impl From<ImportedCustomerV1> for ImportedCustomer {
    fn from(old: ImportedCustomerV1) -> Self {
        Self {
            kind: old.kind,
            status: old.status,
            closed_reason: old.closed_reason.map(Personal::Known),
            number: old.number,
            name: old.name,
            email: old.email,
            phone: old.phone,
            address: old.address,
            vat_number: old.vat_number,
            since: None,
            flags: old.flags,
        }
    }
}

/// Version 1 of [`CustomerImported`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerImportedV1 {
    /// The customer.
    pub customer_id: CustomerId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said.
    pub state: ImportedCustomerV1,
}

impl Published for CustomerImportedV1 {
    const TYPE: &'static str = "customers.CustomerImported.v1";
    fn data_subject(&self) -> Option<Uuid> {
        Some(self.customer_id)
    }
}

impl From<CustomerImportedV1> for CustomerImported {
    fn from(CustomerImportedV1 { customer_id, legacy, state }: CustomerImportedV1) -> Self {
        Self { customer_id, legacy, state: state.into() }
    }
}

/// Version 1 of [`CustomerRevised`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRevisedV1 {
    /// The customer.
    pub customer_id: CustomerId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said then, in full.
    pub state: ImportedCustomerV1,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}

impl Published for CustomerRevisedV1 {
    const TYPE: &'static str = "customers.CustomerRevised.v1";
    fn data_subject(&self) -> Option<Uuid> {
        Some(self.customer_id)
    }
}

impl From<CustomerRevisedV1> for CustomerRevised {
    fn from(old: CustomerRevisedV1) -> Self {
        let CustomerRevisedV1 { customer_id, legacy, state, changed } = old;
        Self { customer_id, legacy, state: state.into(), changed }
    }
}
