//! The module's commands. Routes, policies and tests call them.

use std::time::Duration;

use customers_contract::CustomerId;
use database::{Database, DatabaseError};
use kernel::admission::Backlogged;
use kernel::event::Position;
use kernel::execution::{Cause, Environment, ExecuteError, Executed, ExpectedAt, LoadError};
use kernel::projection::{Patience, Progress};
use kernel::store::ReadError;
use orders_contract::{CancellationReason, OrderId};

use crate::domain::{Command, OrderDecider, PlaceOrder, Refusal, ReturnOrder};
use crate::queries::known_customers;

/// Longest wait for the read model of known customers before an order is accepted. A wait usually takes a
/// millisecond.
const ACCEPTING_WAIT: Duration = Duration::from_millis(100);

/// Executes commands on orders. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    /// Progress of the order views.
    pub(crate) views: Progress,
    /// Progress of the known customers.
    pub(crate) known_customers: Progress,
}

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No customer with this id was registered or imported.
    #[error("there is no such customer")]
    CustomerUnknown,
    /// The customer can no longer place orders.
    #[error("the customer is closed")]
    CustomerClosed,
    /// The processing of earlier orders is too far behind.
    #[error(transparent)]
    Backlogged(#[from] Backlogged),
    /// The read model of known customers did not catch up with the log in time.
    #[error("the known customers are not up to date; try again")]
    StaleReadModel {
        /// Position that the read model has to reach.
        position: Position,
    },
    /// The position of the log's last event could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The order could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The known customers could not be read.
    #[error("cannot read the known customers")]
    Database(#[from] DatabaseError),
    /// The order refused the command, or its events could not be stored.
    #[error(transparent)]
    Execute(#[from] Error),
}

/// Why a command on an order was not executed.
pub type Error = ExecuteError<Refusal>;

impl Orders {
    /// Places an order for a customer who may order, unless the processing of earlier orders is too far
    /// behind.
    pub async fn place(&self, request: PlaceOrder, cause: &Cause) -> Result<Executed, PlaceError> {
        self.environment.admission.check()?;
        let id = request.order_id;
        if let Err(refusal) = self.check_customer(request.customer_id).await {
            // A repeated request gets the answer of the first one, even if the customer was closed
            // in between.
            if self.environment.load::<OrderDecider>(id).await?.revision.is_none() {
                return Err(refusal);
            }
        }
        Ok(self.environment.create::<OrderDecider>(id, Command::Place(request), cause).await?)
    }

    /// Confirms an order that is paid.
    pub async fn confirm_paid(&self, id: OrderId, cause: &Cause) -> Result<Executed, Error> {
        self.environment.execute::<OrderDecider>(id, Command::ConfirmPaid, cause, None).await
    }

    /// Takes back delivered goods.
    pub async fn take_back(
        &self,
        id: OrderId,
        request: ReturnOrder,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = Command::Return(request);
        self.environment.execute::<OrderDecider>(id, command, cause, expected).await
    }

    /// Confirms an order without waiting for its payment.
    pub async fn confirm(
        &self,
        id: OrderId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.environment.execute::<OrderDecider>(id, Command::Confirm, cause, expected).await
    }

    /// Records that all lines were delivered.
    pub async fn fulfil(
        &self,
        id: OrderId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.environment.execute::<OrderDecider>(id, Command::Fulfil, cause, expected).await
    }

    /// Cancels an order.
    pub async fn cancel(
        &self,
        id: OrderId,
        reason: CancellationReason,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.environment.execute::<OrderDecider>(id, Command::Cancel(reason), cause, expected).await
    }

    /// Checks that a customer may order. The read model of known customers may lag behind the events that
    /// the client has seen. Before an order is accepted, the check waits briefly for the read model, so
    /// that a customer who was just closed cannot order; a read model that has stopped does not stop all
    /// orders. Before an order is refused, the read model must have caught up with the log.
    async fn check_customer(&self, customer_id: CustomerId) -> Result<(), PlaceError> {
        let seen = *self.environment.store.watch_head().borrow();
        self.known_customers.reached(seen, ACCEPTING_WAIT).await;
        if self.customer_may_order(customer_id).await.is_ok() {
            return Ok(());
        }
        let head = self.environment.store.head().await?;
        if !self.known_customers.reached(head, Patience::Request).await {
            return Err(PlaceError::StaleReadModel { position: head });
        }
        self.customer_may_order(customer_id).await
    }

    async fn customer_may_order(&self, customer_id: CustomerId) -> Result<(), PlaceError> {
        match known_customers::is_open(&self.database, customer_id).await? {
            Some(true) => Ok(()),
            Some(false) => Err(PlaceError::CustomerClosed),
            None => Err(PlaceError::CustomerUnknown),
        }
    }
}
