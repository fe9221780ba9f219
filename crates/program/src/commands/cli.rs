//! The command line parser and the dispatch to the commands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use super::calls::{self, WireCommand};
use super::contracts::{self, ContractsCommand};
use super::events::{self, EventsCommand};
use super::extract;
use super::modules::{self, ModulesCommand};
use super::parked::{self, ParkedCommand};
use super::projections::{self, ProjectionsCommand};
#[cfg(feature = "import")]
use super::{import, mapping, quarantine};
use crate::configuration::Configuration;
use crate::describe::{Descriptions, asyncapi, openapi};
use crate::serve::serve;
use crate::system::modules::Modules;
use crate::system::{Program, telemetry};
use crate::values::failure::Misused;
use crate::values::{descriptors, output};

/// Moves a company off a legacy system, one business domain at a time.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Configuration file (default: `bascule.toml` in the current folder, if it exists)
    #[arg(long, global = true, value_name = "FILE", env = "BASCULE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Options that override the configuration file and the environment.
#[derive(Debug, Args, Serialize)]
struct Overrides {
    /// URL of the event store, such as postgres://… (default: sqlite:./data/bascule.db)
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_listen: Option<SocketAddr>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Vec<String>>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<BTreeMap<String, ModuleDatabase>>,
    #[arg(skip)]
    wire: WireOverrides,
}

/// The database of a module's tables.
#[derive(Debug, Clone, Serialize)]
struct ModuleDatabase {
    database: String,
}

/// Options of the command line for the wire protocol.
#[derive(Debug, Default, Serialize)]
struct WireOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the system and serve its API
    Serve {
        /// Address of the public API; port 0 selects a free port (default: 127.0.0.1:8080)
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Address of the second listener, which serves probes, metrics and /admin (default: 127.0.0.1:9090)
        #[arg(long, value_name = "ADDR")]
        admin_listen: Option<SocketAddr>,
        /// Address of the endpoint for EventStoreDB clients, such as 127.0.0.1:2113 (default: disabled)
        #[arg(long, value_name = "ADDR")]
        wire_listen: Option<SocketAddr>,
        /// Modules to run, separated by commas (default: all)
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        modules: Option<Vec<String>>,
        /// Database for the tables of the single module that runs (default: beside the event store)
        #[arg(long, value_name = "URL", requires = "modules")]
        database: Option<String>,
        /// Print the configuration in force and exit
        #[arg(long)]
        dump_config: bool,
    },
    /// Import changes captured from a legacy database
    #[cfg(feature = "import")]
    Import(import::Arguments),
    /// Check a mapping, try it on a feed, list the fields it can fill
    #[cfg(feature = "import")]
    Mapping(mapping::Arguments),
    /// Print events of the store
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Inspect, build, verify and rebuild read models; restart policies and reactors
    Projections {
        #[command(subcommand)]
        command: ProjectionsCommand,
    },
    /// Inspect, replay and discard events that a subscription failed to handle
    Parked {
        #[command(subcommand)]
        command: ParkedCommand,
    },
    /// Inspect, replay, discard and erase imported aggregates that a mapping or a module rejected
    #[cfg(feature = "import")]
    Quarantine(quarantine::Arguments),
    /// Hand a module over to its own service, or back; or generate the workspace of that service
    Extract(extract::Arguments),
    /// Print the OpenAPI description of the public API
    Openapi,
    /// Print the AsyncAPI description of the events, their publishers and subscribers
    Asyncapi,
    /// Generate documentation of the modules
    Modules {
        #[command(subcommand)]
        command: ModulesCommand,
    },
    /// Describe the endpoint for EventStoreDB clients
    Wire {
        #[command(subcommand)]
        command: WireCommand,
    },
    /// Check and export the JSON Schemas of the events that the modules publish
    Contracts {
        #[command(subcommand)]
        command: ContractsCommand,
    },
}

impl Command {
    /// Sets the overrides that the options of `bascule serve` ask for.
    fn serving_overrides(&self, overrides: &mut Overrides) -> Result<(), Misused> {
        let Self::Serve { listen, admin_listen, wire_listen, modules, database, .. } = self else {
            return Ok(());
        };
        overrides.listen = *listen;
        overrides.admin_listen = *admin_listen;
        overrides.wire.listen = *wire_listen;
        overrides.run.clone_from(modules);
        overrides.modules = match (modules.as_deref(), database) {
            (_, None) => None,
            (Some([module]), Some(database)) => Some(BTreeMap::from([(
                module.clone(),
                ModuleDatabase { database: database.clone() },
            )])),
            (_, Some(_)) => {
                let problem = "--database needs exactly one module: name it with --modules, or set \
                               [modules.<name>] database for each in the configuration file";
                return Err(Misused(problem.to_owned()));
            }
        };
        Ok(())
    }
}

/// Runs the command.
pub async fn run(cli: Cli, modules: Modules<'_>) -> anyhow::Result<ExitCode> {
    modules.expect_distinct()?;
    let Common { config, mut overrides } = cli.common;
    cli.command.serving_overrides(&mut overrides)?;
    // These commands depend on the code alone and need no configuration.
    let descriptions = Descriptions::from(modules);
    match &cli.command {
        Command::Openapi => {
            output::line(openapi::document(&descriptions).to_pretty_json()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Asyncapi => {
            output::line(serde_json::to_string_pretty(&asyncapi::document(&descriptions))?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Modules { command } => {
            return modules::run(&descriptions, command).map(|()| ExitCode::SUCCESS);
        }
        Command::Contracts { command } => return contracts::run(&descriptions, command),
        Command::Wire { command } => return calls::run(command).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Mapping(arguments) => {
            return mapping::run(&mapping::Commands::of(&descriptions), arguments).await;
        }
        _ => {}
    }
    let mut configuration = Configuration::load(config.as_deref(), &overrides, modules.list())?;
    if !matches!(cli.command, Command::Serve { .. })
        && std::env::var_os("BASCULE_LOG__FILTER").is_none()
    {
        // Interactive commands log only warnings and errors beside their result.
        configuration.log.filter = "warn".to_owned();
    }
    telemetry::start_logging(&configuration.log)?;
    if let Command::Serve { dump_config: true, .. } = cli.command {
        output::line(configuration.dump()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    descriptors::expect_enough(descriptors::raise_limit())?;
    let program = Program { modules, configuration };
    match cli.command {
        Command::Serve { .. } => serve(&program).await.map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Import(arguments) => import::import(&program, &arguments).await,
        Command::Events { command } => {
            events::run(&program.configuration, command).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Projections { command } => projections::run(&program, command).await,
        Command::Parked { command } => parked::run(&program, command).await,
        #[cfg(feature = "import")]
        Command::Quarantine(asked) => quarantine::run(&program, asked).await,
        Command::Extract(arguments) => extract::run(&arguments).await,
        Command::Openapi
        | Command::Asyncapi
        | Command::Modules { .. }
        | Command::Wire { .. }
        | Command::Contracts { .. } => Ok(ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Mapping(_) => Ok(ExitCode::SUCCESS),
    }
}
