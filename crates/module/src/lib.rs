//! The interface of modules. A module is a value that implements [`Module`].
//!
//! The types of its tuples are its description: the aggregates that it decides on, its read models, and
//! the events that it reacts to. The values of the same tuples run. The compiler compares the two, so a
//! module cannot describe anything that it does not run, or run anything that it does not describe.
//!
//! ```
//! # use async_trait::async_trait;
//! # use database::{Database, Migrations, Transaction};
//! # use event_contract::PublishedEvent;
//! # use kernel::codec::Envelope;
//! # use kernel::projection::Projection;
//! # use kernel::store::BoxError;
//! use module::{Module, NoSettings, OpenError, Opened, Opening, Routes};
//!
//! # #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
//! # pub struct LampLit {}
//! # impl event_contract::Published for LampLit { const TYPE: &'static str = "lamps.LampLit.v1"; }
//! # kernel::event_set! { pub enum LampEvent { Lit(LampLit) } }
//! # #[derive(Clone)]
//! # pub struct Lit;
//! # #[async_trait]
//! # impl Projection for Lit {
//! #     type Store = Database;
//! #     type Event = LampEvent;
//! #     const NAME: &'static str = "lamps.lit";
//! #     const VERSION: u32 = 1;
//! #     const TABLES: &'static [&'static str] = &[];
//! #     async fn project(&self, _: &mut Transaction, _: &Envelope<LampEvent>) -> Result<(), BoxError> {
//! #         Ok(())
//! #     }
//! # }
//! /// The module of lamps.
//! pub struct LampsModule;
//!
//! impl Module for LampsModule {
//!     const NAME: &'static str = "lamps";
//!     const ABOUT: &'static str = "Which lamps are lit.";
//!     const EVENTS: &'static [PublishedEvent] = &[];
//!     type Settings = NoSettings;
//!     type Deciders = ();
//!     type Imports = ();
//!     type Projections = (Lit,);
//!     type Reactions = ();
//!     const ROUTES: Option<Routes> = None;
//!
//!     fn migrations(&self) -> &'static Migrations {
//!         &Migrations::NONE
//!     }
//!
//!     async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
//!         let lit = on.projection(Lit);
//!         Ok(Opened::new((lit,), ()))
//!     }
//! }
//! ```
//!
//! The program uses modules as [`AnyModule`], which is implemented for every [`Module`].

mod any;
mod capabilities;
mod description;
mod lists;
mod opening;

use std::future::Future;

use database::{DatabaseOptions, Migrations};
use event_contract::PublishedEvent;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa_actix_web::service_config::ServiceConfig;

pub use self::any::{AnyModule, Configure, OpenModule, SettingsError, open};
pub use self::capabilities::{ErasesCustomers, FirstSteps, Retained, RetainsDocuments, Upkeep};
pub use self::description::{ModuleDescription, StreamCategory};
pub use self::lists::{DeciderList, ImportList, Projecting, ProjectionList, ReactionList};
pub use self::opening::{Alone, OpenError, Opened, Opening, Surroundings};

/// Adds the routes of a module to the application, without the data that their handlers need at run time.
pub type Routes = fn(&mut ServiceConfig<'_>);

/// A bounded context.
pub trait Module: Sized + Send + Sync + 'static {
    /// The module's name: the first part of its event types, its routes and its subscriptions, the name
    /// of its section in the configuration and of its schema in PostgreSQL.
    const NAME: &'static str;

    /// The purpose of the module, in one sentence.
    const ABOUT: &'static str;

    /// Every version of every event that the module publishes.
    const EVENTS: &'static [PublishedEvent];

    /// Tables that belong to no read model, such as those of an import. Most modules have none.
    const OTHER_TABLES: &'static [&'static str] = &[];

    /// The module's own section of the configuration, or [`NoSettings`].
    type Settings: Serialize + DeserializeOwned + Default + Send + Sync;

    /// The deciders of the aggregates whose streams only the module writes.
    type Deciders: DeciderList;

    /// The aggregates that can be imported from a legacy system: the deciders with `Sync…` commands.
    type Imports: ImportList;

    /// The read models.
    type Projections: ProjectionList;

    /// The policies, reactors and upkeep.
    type Reactions: ReactionList;

    /// The routes of the public API under `/api/v1/<name>`. `None` for a module that is not a bounded
    /// context: it belongs to the store, and runs in the store's process.
    const ROUTES: Option<Routes>;

    /// Returns the migrations that create the module's tables.
    fn migrations(&self) -> &'static Migrations;

    /// Returns the options of the connections to the module's database.
    fn database_options(&self) -> DatabaseOptions {
        DatabaseOptions::default()
    }

    /// Builds the projections and reactions, on a database whose tables are up to date.
    fn open(
        &self,
        on: Opening<'_, Self>,
    ) -> impl Future<Output = Result<Opened<Self>, OpenError>> + Send;
}

/// The settings of a module without settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
