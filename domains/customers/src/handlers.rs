//! The module's commands. Each command on a customer also claims and releases the e-mail addresses that
//! it changes.

use customers_contract::{Address, CustomerId};
use event_contract::Personal;
use kernel::decider::Decider as _;
use kernel::execution::{
    Cause, Environment, ExecuteError, Executed, ExpectedAt, LoadError, UnitOfWork,
};

use crate::domain::email::{EmailCommand, EmailDecider};
use crate::domain::{Command, ContactChange, Customer, CustomerDecider, Refusal, Registration};
use crate::lookup::EmailKey;

/// Why a command on a customer was not executed.
pub type Error = ExecuteError<Refusal>;

/// Executes commands on customers. Cheap to clone.
#[derive(Clone)]
pub struct Customers {
    environment: Environment,
}

impl Customers {
    /// Creates the handler for the customers in the environment's event store.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Registers a customer. Refused if another open customer has the e-mail address.
    pub async fn register(
        &self,
        registration: Registration,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(registration.customer_id, Command::Register(registration), cause, None).await
    }

    /// Changes name, e-mail address or telephone number. The new e-mail address is claimed and the previous
    /// one released atomically.
    pub async fn change_contact(
        &self,
        id: CustomerId,
        change: ContactChange,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::ChangeContact(change), cause, expected).await
    }

    /// Changes the postal address.
    pub async fn change_address(
        &self,
        id: CustomerId,
        address: Address,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::ChangeAddress(Personal::Known(address)), cause, expected).await
    }

    /// Closes a customer. The e-mail address can then be registered again.
    pub async fn close(
        &self,
        id: CustomerId,
        reason: String,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::Close { reason: reason.into() }, cause, expected).await
    }

    /// Erases a customer of any owner, and releases its e-mail address. Reactions to the event delete all
    /// other data about the person. A repeated command changes nothing.
    pub async fn erase(&self, id: CustomerId, cause: &Cause) -> Result<Executed, Error> {
        self.execute(id, Command::Erase, cause, None).await
    }

    /// Decides on the customer and on each e-mail address that it claims or releases, atomically.
    async fn execute(
        &self,
        id: CustomerId,
        command: Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, Error> {
        let command = &command;
        let expected = expected.as_ref();
        let attempt = self.environment.in_unit(cause, |work| {
            Box::pin(async move {
                let customer = match command {
                    Command::Register(_) => work.load_new::<CustomerDecider>(id).await?,
                    _ => work.load(id).await?,
                };
                let events = work.decide(&customer, command, expected).await?;
                let after = events.iter().fold(customer.state.clone(), CustomerDecider::evolve);
                self.record_claims(work, id, &customer.state, &after).await?;
                Ok(customer)
            })
        });
        let (customer, committed) = attempt.await?;
        Ok(committed.executed(&customer))
    }

    /// Claims the address that the customer has after the command, and releases the previous one.
    async fn record_claims(
        &self,
        work: &mut UnitOfWork<'_>,
        id: CustomerId,
        before: &Customer,
        after: &Customer,
    ) -> Result<(), Error> {
        let lookup_key = &self.environment.lookup_key;
        let key = |customer: &Customer| {
            customer.exclusive_email().map(|email| EmailKey::of(lookup_key, email))
        };
        let (before, after) = (key(before), key(after));
        if before == after {
            return Ok(());
        }
        if let Some(key) = after {
            // Most addresses were never claimed before.
            let stream = key.stream().map_err(LoadError::from)?;
            let email = work.load_new_stream::<EmailDecider>(stream).await?;
            work.also_decide(&email, EmailCommand::Claim(id)).await?;
        }
        if let Some(key) = before {
            let stream = key.stream().map_err(LoadError::from)?;
            let email = work.load_stream::<EmailDecider>(stream).await?;
            work.also_decide(&email, EmailCommand::Release(id)).await?;
        }
        Ok(())
    }
}
