//! The commands, and what each is given.

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
    /// Configuration file; `bascule.toml` in the current folder if it is there
    #[arg(long, global = true, value_name = "FILE", env = "BASCULE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Options that stand above the configuration file and the environment.
#[derive(Debug, Args, Serialize)]
struct Overrides {
    /// Where the events are, such as sqlite:./data/bascule.db
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
    modules: Option<BTreeMap<String, Place>>,
    #[arg(skip)]
    wire: WireOverrides,
}

/// Where a module's tables are.
#[derive(Debug, Clone, Serialize)]
struct Place {
    database: String,
}

/// What the command line says of the wire protocol.
#[derive(Debug, Default, Serialize)]
struct WireOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the system and serve its API
    Serve {
        /// Where the public API listens, such as 127.0.0.1:8080; port 0 takes a free one
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Where probes and metrics are served
        #[arg(long, value_name = "ADDR")]
        admin_listen: Option<SocketAddr>,
        /// Where clients of EventStoreDB find the store, such as 127.0.0.1:2113; nowhere unless given
        #[arg(long, value_name = "ADDR")]
        wire_listen: Option<SocketAddr>,
        /// The modules to run, separated by commas; all unless given
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        modules: Option<Vec<String>>,
        /// Where the tables of the one module are that runs; beside the store unless given
        #[arg(long, value_name = "URL", requires = "modules")]
        database: Option<String>,
        /// Print the configuration in force and exit
        #[arg(long)]
        dump_config: bool,
    },
    /// Import what was captured from a legacy database
    #[cfg(feature = "import")]
    Import(import::Arguments),
    /// Look after mappings: check one, try it on a feed, tell which fields there are
    #[cfg(feature = "import")]
    Mapping(mapping::Arguments),
    /// Look at the events of the store
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Look after the read models, policies and reactors
    Projections {
        #[command(subcommand)]
        command: ProjectionsCommand,
    },
    /// Look after the events that could not be handled
    Parked {
        #[command(subcommand)]
        command: ParkedCommand,
    },
    /// Look after the imported aggregates that could not be understood or taken
    #[cfg(feature = "import")]
    Quarantine(quarantine::Arguments),
    /// Hand a module over to a service of its own, or back; write the service's workspace
    Extract(extract::Arguments),
    /// Print the OpenAPI description of the public API
    Openapi,
    /// Print the AsyncAPI description of the events, who publishes them and who listens
    Asyncapi,
    /// Tell what the modules are
    Modules {
        #[command(subcommand)]
        command: ModulesCommand,
    },
    /// Tell what the endpoint for clients of EventStoreDB answers
    Wire {
        #[command(subcommand)]
        command: WireCommand,
    },
    /// Look after the schemas of the events that the modules publish
    Contracts {
        #[command(subcommand)]
        command: ContractsCommand,
    },
}

impl Command {
    /// Returns what `bascule serve` sets above the configuration file and the environment.
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
            (Some([module]), Some(database)) => {
                Some(BTreeMap::from([(module.clone(), Place { database: database.clone() })]))
            }
            (_, Some(_)) => {
                let problem = "--database is that of one module: name one with --modules, or set \
                               [modules.<name>] database for each in the configuration file";
                return Err(Misused(problem.to_owned()));
            }
        };
        Ok(())
    }
}

/// Carries out the command.
pub async fn run(cli: Cli, modules: Modules<'_>) -> anyhow::Result<ExitCode> {
    modules.expect_distinct()?;
    let Common { config, mut overrides } = cli.common;
    cli.command.serving_overrides(&mut overrides)?;
    // What follows from the code alone wants no configuration.
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
        // Of the commands for people only what goes wrong is told beside the result.
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
