//! Commands in: what HTTP, policies and tests ask of orders goes through here.

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
use crate::queries;

/// How long an order waits for it before it is accepted. Usually it takes a millisecond.
const MOMENT: Duration = Duration::from_millis(100);

/// The orders of this process. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    /// How far the order views have come.
    pub(crate) views: Progress,
    /// How far the known customers have come.
    pub(crate) known_customers: Progress,
}

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nobody of this id was ever registered or imported.
    #[error("there is no such customer")]
    CustomerUnknown,
    /// The customer can no longer order.
    #[error("the customer is closed")]
    CustomerClosed,
    /// What follows from earlier orders still waits for its turn.
    #[error(transparent)]
    Backlogged(#[from] Backlogged),
    /// The known customers did not catch up in time, so that nobody can tell.
    #[error("whether the customer may order is not known yet; try again")]
    StaleReadModel {
        /// How far they should have come.
        position: Position,
    },
    /// The store could not be asked how far the log goes.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The order could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The known customers could not be read.
    #[error("the known customers cannot be read")]
    Database(#[from] DatabaseError),
    /// The order itself says no, or could not be stored.
    #[error(transparent)]
    Execute(#[from] Error),
}

/// Why a command on an order was not carried out.
pub type Error = ExecuteError<Refusal>;

impl Orders {
    /// Places an order for a customer who may order, unless those before it wait too long for what
    /// follows from them.
    pub async fn place(&self, request: PlaceOrder, cause: &Cause) -> Result<Executed, PlaceError> {
        self.environment.admission.check()?;
        let id = request.order_id;
        if let Err(refusal) = self.check_customer(request.customer_id).await {
            // A repetition of a request that was carried out answers as it did, whatever has
            // become of the customer since.
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

    /// Takes back what was delivered.
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

    /// Confirms an order, paid or not.
    pub async fn confirm(
        &self,
        id: OrderId,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.environment.execute::<OrderDecider>(id, Command::Confirm, cause, expected).await
    }

    /// Records that everything was delivered.
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

    /// Whether a customer may order. The read model may lag behind what the client has just seen
    /// succeed. Before it accepts it is given a moment, so that a customer who was closed cannot
    /// order, but no more: one that stands still must not stop the shop. Before it refuses it must
    /// have caught up with the log.
    async fn check_customer(&self, customer_id: CustomerId) -> Result<(), PlaceError> {
        let seen = *self.environment.store.watch_head().borrow();
        self.known_customers.reached(seen, MOMENT).await;
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
        match queries::customer_is_open(&self.database, customer_id).await? {
            Some(true) => Ok(()),
            Some(false) => Err(PlaceError::CustomerClosed),
            None => Err(PlaceError::CustomerUnknown),
        }
    }
}
