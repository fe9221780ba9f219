//! A module as its author writes it: the trait, what it is opened with, and what it hands back.

use std::any::Any;
use std::sync::Arc;

use actix_web::web::Data;
use database::{Database, DatabaseOptions, Migrations};
use event_contract::PublishedEvent;
use kernel::execution::Environment;
use kernel::projection::Projection;
use kernel::reaction::Reaction;
use kernel::sync::SyncTarget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::capabilities::{ErasesCustomers, FirstSteps, RetainsDocuments, Upkeep};
use crate::lists::{DeciderList, ImportList, Projecting, ProjectionList, ReactionList};
use crate::routes::{Configure, Routes};
use crate::surroundings::{OpenError, Surroundings};

/// A bounded context.
pub trait Module: Sized + Send + Sync + 'static {
    /// The module's name: the first part of its event types, its routes and its subscriptions, the name
    /// of its section in the configuration and of its schema in PostgreSQL.
    const NAME: &'static str;

    /// What the module is for, in a sentence.
    const ABOUT: &'static str;

    /// Every version of every event that the module publishes.
    const EVENTS: &'static [PublishedEvent];

    /// The tables that belong to no read model, such as those of an import. Most modules have none.
    const OTHER_TABLES: &'static [&'static str] = &[];

    /// The module's own section of the configuration, or [`NoSettings`](crate::NoSettings).
    type Settings: Serialize + DeserializeOwned + Default + Send + Sync;

    /// The deciders of the aggregates whose streams the module alone writes.
    type Deciders: DeciderList;

    /// The aggregates that a legacy system may have: those deciders that take `Sync…` commands.
    type Imports: ImportList;

    /// The read models.
    type Projections: ProjectionList;

    /// The policies, reactors and upkeep.
    type Reactions: ReactionList;

    /// What the module serves to clients under `/api/v1/<name>`. `None` for what runs like a module and
    /// is no bounded context: it belongs to the store, and runs wherever the store is.
    const ROUTES: Option<Routes>;

    /// Returns the migrations that make the module's tables.
    fn migrations(&self) -> &'static Migrations;

    /// Returns how the connections to the module's database are used.
    fn database_options(&self) -> DatabaseOptions {
        DatabaseOptions::default()
    }

    /// Builds what runs, on a database whose tables are up to date.
    fn open(
        &self,
        on: Opening<'_, Self>,
    ) -> impl Future<Output = Result<Opened<Self>, OpenError>> + Send;
}

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
