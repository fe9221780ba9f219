//! The known customers: which customers may order, from the events of the customers module.

use customers_contract::{
    CustomerClosed, CustomerErased, CustomerId, CustomerImported, CustomerRegistered,
    CustomerRevised, CustomerStatus,
};
use database::{Database, Transaction};
use kernel::codec::Envelope;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;

use crate::queries::known_customers;

kernel::event_set! {
    /// The events that determine whether a customer may order.
    pub enum CustomerEvent {
        Registered(CustomerRegistered),
        Closed(CustomerClosed),
        Erased(CustomerErased),
        Imported(CustomerImported),
        Revised(CustomerRevised),
    }
}

/// Folds the events of customers into the table `known_customer`, which contains no personal data.
#[derive(Debug, Clone, Copy)]
pub struct KnownCustomers;

impl Projection for KnownCustomers {
    type Store = Database;
    type Event = CustomerEvent;

    const NAME: &'static str = "orders.known-customers";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["known_customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<CustomerEvent>,
    ) -> Result<(), BoxError> {
        match &event.event {
            CustomerEvent::Registered(customer) => {
                known_customers::insert(transaction, customer.customer_id, true).await?;
            }
            CustomerEvent::Imported(customer) => {
                let open = customer.state.status == CustomerStatus::Open;
                known_customers::insert(transaction, customer.customer_id, open).await?;
            }
            CustomerEvent::Closed(customer) => {
                change(transaction, customer.customer_id, false).await?;
            }
            CustomerEvent::Erased(customer) => {
                change(transaction, customer.customer_id, false).await?;
            }
            CustomerEvent::Revised(customer) => {
                let open = customer.state.status == CustomerStatus::Open;
                change(transaction, customer.customer_id, open).await?;
            }
        }
        Ok(())
    }
}

async fn change(
    transaction: &mut Transaction,
    customer_id: CustomerId,
    open: bool,
) -> Result<(), BoxError> {
    match known_customers::update(transaction, customer_id, open).await? {
        true => Ok(()),
        false => Err(Unknown { what: "customer", id: customer_id.as_uuid() }.into()),
    }
}
