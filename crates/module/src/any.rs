//! Type-erased modules, as the program uses them.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use database::Database;
use database::read_model::ReadModel;
use kernel::execution::Environment;
use kernel::projection::Progress;
use kernel::subscription::Subscription;
use kernel::sync::SyncTarget;
use serde_json::Value;

use crate::capabilities::{ErasesCustomers, FirstSteps, RetainsDocuments, Upkeep};
use crate::definition::{Module, More, Opened, Opening};
use crate::description::ModuleDescription;
use crate::lists::{AnyProjecting, ImportList as _, ProjectionList as _, ReactionList as _};
use crate::routes::Configure;
use crate::settings::SettingsError;
use crate::surroundings::{OpenError, Surroundings};

/// A module without its type.
#[async_trait]
pub trait AnyModule: Send + Sync {
    /// Returns the module's name.
    fn name(&self) -> &'static str;

    /// Returns the description of the module: its events, tables, subscriptions and routes.
    fn description(&self) -> ModuleDescription;

    /// Reads the module's section of the configuration. Returns it with every default filled in and
    /// without secrets.
    fn shown_settings(&self, section: Value) -> Result<Value, SettingsError>;

    /// Opens the module on its database, which is created if it does not exist.
    async fn open(
        &self,
        environment: Environment,
        database_url: &str,
        section: Value,
        sync_targets: &[Arc<dyn SyncTarget>],
        surroundings: &dyn Surroundings,
    ) -> Result<OpenModule, OpenError>;
}

/// An open module, ready to run.
pub struct OpenModule {
    /// The module's name.
    pub name: &'static str,
    /// Adds the module's routes and their data.
    pub configure: Configure,
    /// The module's projections, policies, reactors and upkeep.
    pub subscriptions: Vec<Box<dyn Subscription>>,
    /// The module's entry points for imported aggregates.
    pub sync_targets: Vec<Arc<dyn SyncTarget>>,
    /// The progress of each projection, by name.
    pub projections: Vec<(String, Progress)>,
    /// The module's read models, for operations on them.
    pub read_models: Vec<ReadModel>,
    /// The module's database.
    pub database: Database,
    /// The subscription that carries out the module's part of a customer's erasure.
    pub erasure: Option<&'static str>,
    /// Decides the erasure of customers; only one module has it.
    pub erases: Option<Arc<dyn ErasesCustomers>>,
    /// Reports what the module retains of erased customers.
    pub retains: Option<Arc<dyn RetainsDocuments>>,
    /// Background work beside the subscriptions.
    pub upkeep: Vec<Upkeep>,
    /// First steps that the welcome message proposes.
    pub first_steps: Option<FirstSteps>,
    offered: Vec<Arc<dyn Any + Send + Sync>>,
}

impl OpenModule {
    /// Returns the value of a type that the module offers.
    pub fn offered<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.offered.iter().find_map(|offered| Arc::clone(offered).downcast().ok())
    }
}

#[async_trait]
impl<M: Module> AnyModule for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn description(&self) -> ModuleDescription {
        ModuleDescription::of::<M>()
    }

    fn shown_settings(&self, section: Value) -> Result<Value, SettingsError> {
        let settings = read_settings::<M>(section)?;
        serde_json::to_value(&settings).map_err(|error| SettingsError {
            section: M::NAME,
            path: String::new(),
            reason: error.to_string(),
        })
    }

    async fn open(
        &self,
        environment: Environment,
        database_url: &str,
        section: Value,
        sync_targets: &[Arc<dyn SyncTarget>],
        surroundings: &dyn Surroundings,
    ) -> Result<OpenModule, OpenError> {
        let settings = read_settings::<M>(section)?;
        open_with(self, environment, database_url, settings, sync_targets, surroundings).await
    }
}

/// Opens a single module, as its tests do.
pub async fn open<M: Module>(
    module: &M,
    environment: Environment,
    database_url: &str,
    settings: M::Settings,
    surroundings: &dyn Surroundings,
) -> Result<OpenModule, OpenError> {
    open_with(module, environment, database_url, settings, &[], surroundings).await
}

async fn open_with<M: Module>(
    module: &M,
    environment: Environment,
    database_url: &str,
    settings: M::Settings,
    sync_targets: &[Arc<dyn SyncTarget>],
    surroundings: &dyn Surroundings,
) -> Result<OpenModule, OpenError> {
    let options = module.database_options();
    let database = Database::open_with(database_url, M::NAME, module.migrations(), options).await?;
    let opening = Opening {
        environment: environment.clone(),
        database: database.clone(),
        settings,
        sync_targets,
        surroundings,
    };
    let Opened { projections, reactions, more } = Module::open(module, opening).await?;
    let mut subscriptions = Vec::new();
    let (mut progress, mut read_models) = (Vec::new(), Vec::new());
    for one in M::Projections::erased(projections) {
        let AnyProjecting { name, runner, progress: of_one, read_model } = one;
        subscriptions.push(runner);
        progress.push((name.to_owned(), of_one));
        read_models.push(read_model);
    }
    subscriptions.extend(reactions.runners(&environment, &database));
    let entrances = M::Imports::commands().into_iter();
    let More { data, erasure, erases, retains, upkeep, first_steps, offered } = more;
    Ok(OpenModule {
        name: M::NAME,
        configure: Arc::new(move |config| {
            for add in &data {
                add(config);
            }
            if let Some(routes) = M::ROUTES {
                routes(config);
            }
        }),
        subscriptions,
        sync_targets: entrances.map(|command| command.entrance(environment.clone())).collect(),
        projections: progress,
        read_models,
        database,
        erasure,
        erases,
        retains,
        upkeep,
        first_steps,
        offered,
    })
}

/// Reads a section; settings that it leaves out have their default.
fn read_settings<M: Module>(section: Value) -> Result<M::Settings, SettingsError> {
    if section.is_null() {
        return Ok(M::Settings::default());
    }
    serde_path_to_error::deserialize(section).map_err(|error| SettingsError {
        section: M::NAME,
        path: match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        },
        reason: error.into_inner().to_string(),
    })
}
