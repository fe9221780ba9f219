//! What a module is: one value that implements [`Module`].
//!
//! The types of its tuples are its description: which aggregates it decides on, which read models it
//! keeps, which events it reacts to. The values of the same tuples are what runs. The compiler compares
//! the two, so a module cannot describe something that it does not run, or run something that it does
//! not describe.
//!
//! ```
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
//! The program that runs modules sees them as [`AnyModule`], which every [`Module`] is.

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

/// Adds the routes of a module to the application, without what their handlers need at run time.
pub type Routes = fn(&mut ServiceConfig<'_>);

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

    /// The module's own section of the configuration, or [`NoSettings`].
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

/// The settings of a module that has none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
