//! A customer's life, as decisions: registered here or imported, changed, closed.
//!
//! Pure: no I/O, no clock, no ids of its own. That an e-mail address belongs to one open customer
//! only is decided by a second, small aggregate: see [`email`].

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

/// What a customer is at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Customer {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// Registered here, can order.
    Open(Account),
    /// Registered here, can no longer order.
    Closed(Account),
    /// A legacy system's customer, as that system has it.
    Imported {
        /// The customer.
        customer_id: CustomerId,
        /// Where it comes from.
        legacy: LegacyReference,
        /// What the legacy system says.
        state: ImportedCustomer,
    },
    /// Forgotten. Nothing happens to it any more, wherever it was from.
    Erased,
}

impl Customer {
    /// The e-mail address that nobody else may register while this customer is open. Imported
    /// customers keep none to themselves: in a legacy system several may share one.
    pub fn exclusive_email(&self) -> Option<&str> {
        match self {
            Self::Open(account) => account.email.known().map(String::as_str),
            Self::Unknown | Self::Closed(_) | Self::Imported { .. } | Self::Erased => None,
        }
    }
}

/// What is known of a customer who was registered here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The customer.
    pub customer_id: CustomerId,
    /// Full name, or the firm's.
    pub name: Personal<String>,
    /// Where to write to.
    pub email: Personal<String>,
    /// Telephone number.
    pub phone: Option<Personal<String>>,
    /// Postal address.
    pub address: Personal<Address>,
}

/// What can be asked of a customer.
#[derive(Debug, Clone)]
pub enum Command {
    /// Become a customer here.
    Register(Registration),
    /// Take another name, e-mail address or telephone number.
    ChangeContact(ContactChange),
    /// Move.
    ChangeAddress(Personal<Address>),
    /// Stop being a customer.
    Close {
        /// Why, in somebody's words.
        reason: Personal<String>,
    },
    /// Be forgotten.
    Erase,
    /// Be as a legacy system says.
    Sync(Box<LegacyReport>),
}

/// A new customer's own statements.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The customer.
    pub customer_id: CustomerId,
    /// Person or company.
    pub kind: CustomerKind,
    /// Full name, or the firm's.
    pub name: Personal<String>,
    /// Where to write to.
    pub email: Personal<String>,
    /// Telephone number.
    pub phone: Option<Personal<String>>,
    /// Postal address.
    pub address: Personal<Address>,
    /// VAT identification number.
    pub vat_number: Option<Personal<String>>,
}

/// What changes about how to reach a customer.
#[derive(Debug, Clone)]
pub struct ContactChange {
    /// Another name, or the same.
    pub name: Option<Personal<String>>,
    /// The e-mail address from now on.
    pub email: Personal<String>,
    /// Another telephone number, none any more, or the same.
    pub phone: Patch<Personal<String>>,
}

/// Why something asked of a customer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such customer.
    #[error("there is no such customer")]
    NoSuchCustomer,
    /// The id is another customer's.
    #[error("there is a customer with this id already")]
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
    /// The legacy system's word counts.
    #[error("the customer is owned by the legacy system; change it there")]
    OwnedByLegacy,
    /// The legacy system's word does not count.
    #[error("the customer is owned by bascule; the legacy system's word does not count")]
    OwnedByBascule,
}

kernel::event_set! {
    /// What can happen to a customer.
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
            // None of these is ever recorded of a customer who is not open here.
            (customer, Event::ContactChanged(_) | Event::AddressChanged(_) | Event::Closed(_)) => {
                customer
            }
        }
    }

    /// A legacy system may revise a customer as often as it likes.
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
        return Ok(vec![]); // closing twice changes nothing
    }
    let customer_id = open_account(customer)?.customer_id;
    Ok(vec![CustomerClosed { customer_id, reason }.into()])
}

/// The customer who can be changed here.
fn open_account(customer: &Customer) -> Result<&Account, Refusal> {
    match customer {
        Customer::Open(account) => Ok(account),
        Customer::Unknown => Err(Refusal::NoSuchCustomer),
        Customer::Closed(_) => Err(Refusal::CustomerClosed),
        Customer::Imported { .. } => Err(Refusal::OwnedByLegacy),
        Customer::Erased => Err(Refusal::CustomerErased),
    }
}
