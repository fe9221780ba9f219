//! The interface of modules. A module is a value that implements [`Module`].
//!
//! The types of its tuples are its description: the aggregates that it decides on, its read models, and
//! the events that it reacts to. The values of the same tuples run. The compiler compares the two, so a
//! module cannot describe anything that it does not run, or run anything that it does not describe.
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
//! The program uses modules as [`AnyModule`], which is implemented for every [`Module`].

mod any;
mod capabilities;
mod definition;
mod description;
mod lists;
mod routes;
mod settings;
mod streams;
mod surroundings;

pub use self::any::{AnyModule, OpenModule, open};
pub use self::capabilities::{ErasesCustomers, FirstSteps, Retained, RetainsDocuments, Upkeep};
pub use self::definition::{Module, Opened, Opening};
pub use self::description::ModuleDescription;
pub use self::lists::{DeciderList, ImportList, Projecting, ProjectionList, ReactionList};
pub use self::routes::{Configure, Routes};
pub use self::settings::{NoSettings, SettingsError};
pub use self::streams::StreamCategory;
pub use self::surroundings::{Alone, OpenError, Surroundings};
