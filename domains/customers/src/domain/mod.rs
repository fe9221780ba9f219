//! The decisions on a customer. Pure: no I/O, no clock, no randomness.
//!
//! A second aggregate decides that an e-mail address belongs to only one open customer: see [`email`].

pub mod email;
mod erasing;
pub mod imported;
#[cfg(test)]
mod tests;

use customers_contract::{
    Address, CustomerAddressChanged, CustomerClosed, CustomerContactChanged, CustomerErased,
    CustomerId, CustomerImported, CustomerKind, CustomerRegistered, CustomerRevised,
    ImportedCustomer,
};
use event_contract::{LegacyReference, Personal};
use kernel::decider::{Context, Decider};
use kernel::snapshot::SnapshotRule;
use kernel::sync::Patch;
use serde::{Deserialize, Serialize};

use imported::LegacyReport;

/// A customer at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Customer {
    /// The customer does not exist yet.
    #[default]
    Unknown,
    /// Registered in this system; can place orders.
    Open(Account),
    /// Registered in this system; can no longer place orders.
    Closed(Account),
    /// Imported; the legacy system owns the customer.
    Imported {
        /// The customer.
        customer_id: CustomerId,
        /// Origin of the customer in the legacy system.
        legacy: LegacyReference,
        /// State in the legacy system.
        state: ImportedCustomer,
    },
    /// Erased. No command changes the customer any more.
    Erased,
}

impl Customer {
    /// Returns the e-mail address that no other customer may register while this customer is open. Imported
    /// customers have none: in a legacy system, several customers may share an address.
    pub fn exclusive_email(&self) -> Option<&str> {
        match self {
            Self::Open(account) => account.email.known().map(String::as_str),
            Self::Unknown | Self::Closed(_) | Self::Imported { .. } | Self::Erased => None,
        }
    }
}

/// State of a customer registered in this system, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The customer.
    pub customer_id: CustomerId,
    /// Full name of the person, or name of the company.
    pub name: Personal<String>,
    /// E-mail address.
    pub email: Personal<String>,
    /// Telephone number.
    pub phone: Option<Personal<String>>,
    /// Postal address.
    pub address: Personal<Address>,
}

/// A command on a customer.
#[derive(Debug, Clone)]
pub enum Command {
    /// Registers the customer.
    Register(Registration),
    /// Changes the name, e-mail address or telephone number.
    ChangeContact(ContactChange),
    /// Changes the postal address.
    ChangeAddress(Personal<Address>),
    /// Closes the customer.
    Close {
        /// Reason as free text.
        reason: Personal<String>,
    },
    /// Erases the customer.
    Erase,
    /// Imports the customer's state in the legacy system.
    Sync(Box<LegacyReport>),
}

/// A new customer.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The customer.
    pub customer_id: CustomerId,
    /// Kind of the customer.
    pub kind: CustomerKind,
    /// Full name of the person, or name of the company.
    pub name: Personal<String>,
    /// E-mail address.
    pub email: Personal<String>,
    /// Telephone number.
    pub phone: Option<Personal<String>>,
    /// Postal address.
    pub address: Personal<Address>,
    /// VAT identification number.
    pub vat_number: Option<Personal<String>>,
}

/// A change of a customer's contact.
#[derive(Debug, Clone)]
pub struct ContactChange {
    /// New name; `None` keeps the name.
    pub name: Option<Personal<String>>,
    /// New e-mail address, or the same.
    pub email: Personal<String>,
    /// Change of the telephone number.
    pub phone: Patch<Personal<String>>,
}

/// Why a command on a customer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The customer does not exist.
    #[error("there is no such customer")]
    NoSuchCustomer,
    /// The id belongs to another customer.
    #[error("a customer with this id already exists")]
    AlreadyRegistered,
    /// The customer is closed.
    #[error("the customer is closed")]
    CustomerClosed,
    /// The customer was erased.
    #[error("the customer was erased")]
    CustomerErased,
    /// Another open customer has this e-mail address.
    #[error("another open customer is registered with this e-mail address")]
    EmailTaken,
    /// The legacy system owns the customer.
    #[error("the legacy system owns this customer; change it there")]
    OwnedByLegacy,
    /// bascule owns the customer: the state in the legacy system is not imported.
    #[error("bascule owns this customer; the legacy system cannot change it")]
    OwnedByBascule,
}

kernel::event_set! {
    /// The events of a customer.
    pub enum Event {
        Registered(CustomerRegistered),
        ContactChanged(CustomerContactChanged),
        AddressChanged(CustomerAddressChanged),
        Closed(CustomerClosed),
        Erased(CustomerErased),
        Imported(CustomerImported),
        Revised(CustomerRevised),
    }
}

/// The customer as an aggregate: stream `customer-<id>`.
#[derive(Debug)]
pub struct CustomerDecider;

impl Decider for CustomerDecider {
    const CATEGORY: &'static str = "customer";
    type Id = CustomerId;
    type State = Customer;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        customer: &Customer,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Register(registration) => register(customer, registration),
            Command::ChangeContact(change) => change_contact(customer, change),
            Command::ChangeAddress(address) => change_address(customer, address),
            Command::Close { reason } => close(customer, reason),
            Command::Erase => erasing::erase(customer, context),
            Command::Sync(report) => imported::sync(customer, *report),
        }
    }

    fn evolve(customer: Customer, event: &Event) -> Customer {
        match (customer, event) {
            (_, Event::Registered(event)) => Customer::Open(Account {
                customer_id: event.customer_id,
                name: event.name.clone(),
                email: event.email.clone(),
                phone: event.phone.clone(),
                address: event.address.clone(),
            }),
            (Customer::Open(account), Event::ContactChanged(event)) => Customer::Open(Account {
                name: event.name.clone(),
                email: event.email.clone(),
                phone: event.phone.clone(),
                ..account
            }),
            (Customer::Open(account), Event::AddressChanged(event)) => {
                Customer::Open(Account { address: event.address.clone(), ..account })
            }
            (Customer::Open(account), Event::Closed(_)) => Customer::Closed(account),
            (_, Event::Imported(CustomerImported { customer_id, legacy, state }))
            | (_, Event::Revised(CustomerRevised { customer_id, legacy, state, .. })) => {
                let (customer_id, legacy) = (*customer_id, legacy.clone());
                Customer::Imported { customer_id, legacy, state: state.clone() }
            }
            (_, Event::Erased(_)) => Customer::Erased,
            // Only open customers registered in this system have these events.
            (customer, Event::ContactChanged(_) | Event::AddressChanged(_) | Event::Closed(_)) => {
                customer
            }
        }
    }

    /// A legacy system may revise a customer any number of times.
    fn snapshots() -> Option<SnapshotRule<Customer>> {
        Some(SnapshotRule::new(1, 50, |stream, _| stream.id()))
    }
}

fn register(customer: &Customer, registration: Registration) -> Result<Vec<Event>, Refusal> {
    match customer {
        Customer::Unknown => {}
        Customer::Open(_) | Customer::Closed(_) => return Err(Refusal::AlreadyRegistered),
        Customer::Imported { .. } => return Err(Refusal::OwnedByLegacy),
        Customer::Erased => return Err(Refusal::CustomerErased),
    }
    let Registration { customer_id, kind, name, email, phone, address, vat_number } = registration;
    let registered =
        CustomerRegistered { customer_id, kind, name, email, phone, address, vat_number };
    Ok(vec![registered.into()])
}

fn change_contact(customer: &Customer, change: ContactChange) -> Result<Vec<Event>, Refusal> {
    let account = open_account(customer)?;
    let after = CustomerContactChanged {
        customer_id: account.customer_id,
        name: change.name.unwrap_or_else(|| account.name.clone()),
        email: change.email,
        phone: change.phone.over(account.phone.clone()),
    };
    let same = (&after.name, &after.email, &after.phone)
        == (&account.name, &account.email, &account.phone);
    Ok(if same { vec![] } else { vec![after.into()] })
}

fn change_address(customer: &Customer, address: Personal<Address>) -> Result<Vec<Event>, Refusal> {
    let account = open_account(customer)?;
    if account.address == address {
        return Ok(vec![]);
    }
    let customer_id = account.customer_id;
    Ok(vec![CustomerAddressChanged { customer_id, address }.into()])
}

fn close(customer: &Customer, reason: Personal<String>) -> Result<Vec<Event>, Refusal> {
    if let Customer::Closed(_) = customer {
        return Ok(vec![]); // a repeated command changes nothing
    }
    let customer_id = open_account(customer)?.customer_id;
    Ok(vec![CustomerClosed { customer_id, reason }.into()])
}

/// Returns the account of a customer that commands can change.
fn open_account(customer: &Customer) -> Result<&Account, Refusal> {
    match customer {
        Customer::Open(account) => Ok(account),
        Customer::Unknown => Err(Refusal::NoSuchCustomer),
        Customer::Closed(_) => Err(Refusal::CustomerClosed),
        Customer::Imported { .. } => Err(Refusal::OwnedByLegacy),
        Customer::Erased => Err(Refusal::CustomerErased),
    }
}
