//! What a module is opened with, and what it hands back.

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

/// What a module is opened with.
pub struct Opening<'o, M: Module> {
    /// The event store, and what commands and subscriptions work with.
    pub environment: Environment,
    /// The module's database, with its tables up to date.
    pub database: Database,
    /// The module's own section of the configuration.
    pub settings: M::Settings,
    /// The entrances for imported aggregates of the modules that were opened before this one.
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

/// The program around a module, as far as a module needs it while it opens.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Returns the URL of a further database beside the event store, on its engine; `None` where the
    /// store is reached over the network.
    fn beside_the_store(&self, name: &str) -> Result<Option<String>, OpenError>;

    /// Returns a key of the module's own: the same at every start and on every replica, derived from
    /// the master key.
    async fn derived_key(&self, name: &str) -> Result<SecretKey, OpenError>;
}

/// No program: a module that is opened alone, as in its tests.
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

/// Why a module cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its database cannot be opened or migrated.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its section of the configuration cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something else that it needs is not there.
    #[error("{0}")]
    Unusable(#[source] BoxError),
}

impl OpenError {
    /// Something that the module needs is not there, and what to do about it.
    pub fn unusable(reason: impl Into<BoxError>) -> Self {
        Self::Unusable(reason.into())
    }
}

/// An open module: what runs, what handlers need, and what only some modules can do.
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
    /// A module that runs these.
    pub fn new(
        projections: <M::Projections as ProjectionList>::Ready,
        reactions: M::Reactions,
    ) -> Self {
        Self { projections, reactions, more: More::default() }
    }

    /// Hands a value to the handlers of the routes, which take it as [`Data<T>`].
    #[must_use]
    pub fn with_data<T: Send + Sync + 'static>(mut self, data: T) -> Self {
        let data = Data::new(data);
        self.more.data.push(Arc::new(move |config| {
            config.app_data(data.clone());
        }));
        self
    }

    /// Names the reaction that does what the erasure of a customer asks of this module.
    #[must_use]
    pub fn erasing_by<R: Reaction>(mut self) -> Self {
        self.more.erasure = Some(R::NAME);
        self
    }

    /// The module decides that customers are erased.
    #[must_use]
    pub fn deciding_erasure(mut self, erases: impl ErasesCustomers + 'static) -> Self {
        self.more.erases = Some(Arc::new(erases));
        self
    }

    /// The module keeps documents of erased customers.
    #[must_use]
    pub fn retaining(mut self, retains: impl RetainsDocuments + 'static) -> Self {
        self.more.retains = Some(Arc::new(retains));
        self
    }

    /// Work beside the subscriptions. It must end when the token is cancelled.
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

    /// What people may try first.
    #[must_use]
    pub fn with_first_steps(mut self, first_steps: FirstSteps) -> Self {
        self.more.first_steps = Some(first_steps);
        self
    }

    /// Offers a value of the module's own to commands of the program that know its type.
    #[must_use]
    pub fn offering<T: Send + Sync + 'static>(mut self, offered: T) -> Self {
        self.more.offered.push(Arc::new(offered));
        self
    }
}
