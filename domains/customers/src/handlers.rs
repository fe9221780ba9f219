//! The module's commands: how what is asked reaches a customer, together with the claims on e-mail
//! addresses that go with it.

use customers_contract::{Address, CustomerId};
use event_contract::Personal;
use kernel::decider::Decider as _;
use kernel::event::Revision;
use kernel::execution::{
    Cause, Environment, ExecuteError, Executed, LoadError, Retries, UnitOfWork,
};
use kernel::store::AppendError;

use crate::domain::email::{EmailCommand, EmailDecider};
use crate::domain::{Command, ContactChange, Customer, CustomerDecider, Refusal, Registration};
use crate::lookup::EmailKey;

/// Why a command on a customer was not carried out.
pub type Error = ExecuteError<Refusal>;

/// What can be asked of customers. Cheap to clone.
#[derive(Clone)]
pub struct Customers {
    environment: Environment,
}

impl Customers {
    /// The customers of the environment's event store.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Registers a customer. Refused when another open customer has the e-mail address.
    pub async fn register(
        &self,
        registration: Registration,
        cause: &Cause,
    ) -> Result<Executed, Error> {
        self.execute(registration.customer_id, Command::Register(registration), cause, None).await
    }

    /// Changes name, e-mail address or telephone number. Another address is claimed and the old
    /// one released at once.
    pub async fn change_contact(
        &self,
        id: CustomerId,
        change: ContactChange,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::ChangeContact(change), cause, expected).await
    }

    /// Changes the postal address.
    pub async fn change_address(
        &self,
        id: CustomerId,
        address: Address,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::ChangeAddress(Personal::Known(address)), cause, expected).await
    }

    /// Closes a customer; the e-mail address can then be registered again.
    pub async fn close(
        &self,
        id: CustomerId,
        reason: String,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<Executed, Error> {
        self.execute(id, Command::Close { reason: reason.into() }, cause, expected).await
    }

    /// Load, decide, append, over the customer and every e-mail address it takes or gives up: all
    /// or nothing, decided again when another writer was faster.
    async fn execute(
        &self,
        id: CustomerId,
        command: Command,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<Executed, Error> {
        let mut retries = Retries::default();
        loop {
            let mut work = UnitOfWork::new(&self.environment, cause);
            let loaded = self.environment.load::<CustomerDecider>(id).await?;
            if work.was_done_in(&loaded) {
                return Ok(loaded.unchanged());
            }
            if let Some(expected) = expected.filter(|expected| Some(*expected) != loaded.revision) {
                return Err(ExecuteError::RevisionMismatch { expected, actual: loaded.revision });
            }
            let events = CustomerDecider::decide(&loaded.state, command.clone(), &work.context)
                .map_err(ExecuteError::Refused)?;
            // The customer first: a repetition is recognised by the first event's id.
            work.record(&loaded, &events).await?;
            let after = events.iter().fold(loaded.state.clone(), CustomerDecider::evolve);
            self.record_claims(&mut work, id, &loaded.state, &after).await?;
            match work.commit().await {
                Ok(position) => return Ok(loaded.after(&events, position)),
                Err(AppendError::WrongExpectedRevision { .. }) => {
                    if !retries.again().await {
                        return Err(ExecuteError::Contention);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Claims the address that the customer has afterwards and releases the one it had before.
    async fn record_claims(
        &self,
        work: &mut UnitOfWork<'_>,
        id: CustomerId,
        before: &Customer,
        after: &Customer,
    ) -> Result<(), Error> {
        let key = |email| EmailKey::of(&self.environment.lookup_key, email);
        let before = before.exclusive_email().map(key);
        let after = after.exclusive_email().map(key);
        if before == after {
            return Ok(());
        }
        let commands = [(after, EmailCommand::Claim(id)), (before, EmailCommand::Release(id))];
        for (key, command) in commands {
            let Some(key) = key else { continue };
            let stream = key.stream().map_err(LoadError::from)?;
            let email = self.environment.load_stream::<EmailDecider>(stream).await?;
            let events = EmailDecider::decide(&email.state, command, &work.context)
                .map_err(ExecuteError::Refused)?;
            work.record(&email, &events).await?;
        }
        Ok(())
    }
}
