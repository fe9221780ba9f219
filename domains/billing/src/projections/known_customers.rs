//! The read model of customers: the names and addresses for documents, from the events of the customers
//! module.

use customers_contract::{
    Address, CustomerAddressChanged, CustomerContactChanged, CustomerErased, CustomerId,
    CustomerImported, CustomerRegistered, CustomerRevised, ImportedCustomer,
};
use database::{Database, Transaction};
use event_contract::Personal;
use kernel::codec::Envelope;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;

use crate::queries::known_customers::{self, KnownCustomer};

kernel::event_set! {
    /// The events that change the name or address of a customer.
    pub enum CustomerEvent {
        Registered(CustomerRegistered),
        ContactChanged(CustomerContactChanged),
        AddressChanged(CustomerAddressChanged),
        Erased(CustomerErased),
        Imported(CustomerImported),
        Revised(CustomerRevised),
    }
}

/// Maintains names and addresses.
#[derive(Debug, Clone, Copy)]
pub struct KnownCustomers;

impl Projection for KnownCustomers {
    type Store = Database;
    type Event = CustomerEvent;

    const NAME: &'static str = "billing.known-customers";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["known_customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<CustomerEvent>,
    ) -> Result<(), BoxError> {
        match &event.event {
            CustomerEvent::Registered(customer) => {
                let known = KnownCustomer {
                    name: customer.name.known().cloned(),
                    address_lines: address_lines(Some(&customer.address)),
                    vat_number: known(customer.vat_number.as_ref()),
                };
                Ok(known_customers::insert(transaction, customer.customer_id, &known).await?)
            }
            CustomerEvent::Imported(CustomerImported { customer_id, state, .. }) => {
                let known = imported(state);
                Ok(known_customers::insert(transaction, *customer_id, &known).await?)
            }
            CustomerEvent::Revised(CustomerRevised { customer_id, state, .. }) => {
                change(transaction, *customer_id, |_| imported(state)).await
            }
            CustomerEvent::Erased(customer) => {
                let nothing = KnownCustomer { name: None, address_lines: None, vat_number: None };
                change(transaction, customer.customer_id, |_| nothing).await
            }
            CustomerEvent::ContactChanged(customer) => {
                let name = customer.name.known().cloned();
                let change_name = |known| KnownCustomer { name, ..known };
                change(transaction, customer.customer_id, change_name).await
            }
            CustomerEvent::AddressChanged(customer) => {
                let address_lines = address_lines(Some(&customer.address));
                let move_there = |known| KnownCustomer { address_lines, ..known };
                change(transaction, customer.customer_id, move_there).await
            }
        }
    }
}

async fn change(
    transaction: &mut Transaction,
    id: CustomerId,
    change: impl FnOnce(KnownCustomer) -> KnownCustomer + Send,
) -> Result<(), BoxError> {
    let before = known_customers::find(&mut *transaction, id).await?;
    let before = before.ok_or(Unknown { what: "customer", id: id.as_uuid() })?;
    known_customers::update(transaction, id, &change(before)).await?;
    Ok(())
}

fn imported(state: &ImportedCustomer) -> KnownCustomer {
    KnownCustomer {
        name: known(state.name.as_ref()),
        address_lines: address_lines(state.address.as_ref()),
        vat_number: known(state.vat_number.as_ref()),
    }
}

fn known(value: Option<&Personal<String>>) -> Option<String> {
    value?.known().cloned()
}

/// Returns the lines of an address on a letter, without missing parts.
fn address_lines(address: Option<&Personal<Address>>) -> Option<Vec<String>> {
    let Address { line1, line2, postal_code, city, country } = address?.known()?;
    let town: Vec<&str> = [postal_code, city].into_iter().flatten().map(String::as_str).collect();
    let town = town.join(" ");
    let lines = [Some(line1), line2.as_ref(), Some(&town), country.as_ref()];
    Some(lines.into_iter().flatten().filter(|line| !line.is_empty()).cloned().collect())
}
