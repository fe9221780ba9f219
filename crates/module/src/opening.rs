//! The input and the result of opening a module.

use std::any::Any;
use std::sync::Arc;

use actix_web::web::Data;
use async_trait::async_trait;
use database::{Database, DatabaseError};
use kernel::execution::Environment;
use kernel::keys::SecretKey;
use kernel::projection::Projection;
use kernel::reaction::Reaction;
use kernel::store::BoxError;
use kernel::sync::SyncTarget;
use tokio_util::sync::CancellationToken;

use crate::Module;
use crate::any::{Configure, SettingsError};
use crate::capabilities::{ErasesCustomers, FirstSteps, RetainsDocuments, Upkeep};
use crate::lists::{Projecting, ProjectionList};

/// The parts with which a module is opened.
pub struct Opening<'o, M: Module> {
    /// The event store and the services that commands and subscriptions use.
    pub environment: Environment,
    /// The module's database, with its tables up to date.
    pub database: Database,
    /// The module's own section of the configuration.
    pub settings: M::Settings,
    /// The entry points for imported aggregates of the modules that were opened before this one.
    pub sync_targets: &'o [Arc<dyn SyncTarget>],
    /// The program around the module.
    pub surroundings: &'o dyn Surroundings,
}

impl<M: Module> Opening<'_, M> {
    /// Makes a projection ready to run.
    pub fn projection<P>(&self, projection: P) -> Projecting<P>
    where
        P: Projection<Store = Database> + Clone,
    {
        Projecting::new(projection, &self.environment, &self.database)
    }
}

/// The services of the program that a module may use while it opens.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Returns the URL of another database beside the event store, on the same engine, or `None` if the
    /// store is reached over the network.
    fn beside_the_store(&self, name: &str) -> Result<Option<String>, OpenError>;

    /// Returns a key of the module, derived from the master key: the same at every start and on every
    /// replica.
    async fn derived_key(&self, name: &str) -> Result<SecretKey, OpenError>;
}

/// Surroundings of a module that is opened without the program, as in its tests.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

#[async_trait]
impl Surroundings for Alone {
    fn beside_the_store(&self, _: &str) -> Result<Option<String>, OpenError> {
        Ok(None)
    }

    async fn derived_key(&self, _: &str) -> Result<SecretKey, OpenError> {
        SecretKey::generate().map_err(OpenError::unusable)
    }
}

/// Error: a module cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The module's database cannot be opened or migrated.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The module's section of the configuration is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another requirement of the module is missing.
    #[error("{0}")]
    Unusable(#[source] BoxError),
}

impl OpenError {
    /// Returns an error for a missing requirement. `reason` says what is missing and what to do.
    pub fn unusable(reason: impl Into<BoxError>) -> Self {
        Self::Unusable(reason.into())
    }
}

/// An open module: its projections and reactions, the data of its handlers, and optional capabilities.
pub struct Opened<M: Module> {
    pub(crate) projections: <M::Projections as ProjectionList>::Ready,
    pub(crate) reactions: M::Reactions,
    pub(crate) more: More,
}

/// The part of [`Opened`] that does not depend on the module's type.
#[derive(Default)]
pub(crate) struct More {
    pub(crate) data: Vec<Configure>,
    pub(crate) erasure: Option<&'static str>,
    pub(crate) erases: Option<Arc<dyn ErasesCustomers>>,
    pub(crate) retains: Option<Arc<dyn RetainsDocuments>>,
    pub(crate) upkeep: Vec<Upkeep>,
    pub(crate) first_steps: Option<FirstSteps>,
    pub(crate) offered: Vec<Arc<dyn Any + Send + Sync>>,
}

impl<M: Module> Opened<M> {
    /// Returns a module that runs these projections and reactions.
    pub fn new(
        projections: <M::Projections as ProjectionList>::Ready,
        reactions: M::Reactions,
    ) -> Self {
        Self { projections, reactions, more: More::default() }
    }

    /// Passes a value to the handlers of the routes, which receive it as [`Data<T>`].
    #[must_use]
    pub fn with_data<T: Send + Sync + 'static>(mut self, data: T) -> Self {
        let data = Data::new(data);
        self.more.data.push(Arc::new(move |config| {
            config.app_data(data.clone());
        }));
        self
    }

    /// Names the reaction that carries out this module's part of a customer's erasure.
    #[must_use]
    pub fn erasing_by<R: Reaction>(mut self) -> Self {
        self.more.erasure = Some(R::NAME);
        self
    }

    /// Adds the capability to decide the erasure of customers.
    #[must_use]
    pub fn deciding_erasure(mut self, erases: impl ErasesCustomers + 'static) -> Self {
        self.more.erases = Some(Arc::new(erases));
        self
    }

    /// Adds the capability to retain documents of erased customers.
    #[must_use]
    pub fn retaining(mut self, retains: impl RetainsDocuments + 'static) -> Self {
        self.more.retains = Some(Arc::new(retains));
        self
    }

    /// Adds background work beside the subscriptions. It must end when the token is cancelled.
    #[must_use]
    pub fn with_upkeep<F>(
        mut self,
        upkeep: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.more.upkeep.push(Box::new(move |shutdown| Box::pin(upkeep(shutdown))));
        self
    }

    /// Adds the first steps that the welcome message proposes.
    #[must_use]
    pub fn with_first_steps(mut self, first_steps: FirstSteps) -> Self {
        self.more.first_steps = Some(first_steps);
        self
    }

    /// Offers a value of the module to commands of the program that know its type.
    #[must_use]
    pub fn offering<T: Send + Sync + 'static>(mut self, offered: T) -> Self {
        self.more.offered.push(Arc::new(offered));
        self
    }
}
