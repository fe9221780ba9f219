//! The command line. Exit codes: 0 done, 1 the work failed, 2 usage.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use uuid::Uuid;

#[cfg(feature = "bench")]
use crate::bench;
use crate::calls::WireCommand;
use crate::configuration::Configuration;
use crate::contracts::ContractsCommand;
#[cfg(feature = "extract")]
use crate::extract;
#[cfg(feature = "import")]
use crate::import;
#[cfg(feature = "import")]
use crate::mapping;
use crate::modules::ModulesCommand;
use crate::parked::ParkedCommand;
use crate::projections::ProjectionsCommand;
#[cfg(feature = "import")]
use crate::quarantine;
use crate::{
    asyncapi, calls, contracts, descriptors, events, modules, openapi, output, parked, projections,
    serve, telemetry,
};

/// The work failed.
pub const FAILED: u8 = 1;
/// The command cannot be understood.
const USAGE: u8 = 2;

/// A command that is well-formed and names something that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// The exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Misused>() { USAGE } else { FAILED })
}

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
    #[cfg(feature = "extract")]
    Extract(extract::Arguments),
    /// Measure what a store does on this machine
    #[cfg(feature = "bench")]
    Bench(bench::Arguments),
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

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print the last events and, with --follow, those to come
    Tail {
        /// How many of the last events
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: u64,
        /// Go on with the events to come, until interrupted
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        form: events::Form,
    },
    /// Print the events of one stream, such as order-UUID
    Show {
        /// The stream's name
        stream: String,
        #[command(flatten)]
        form: events::Form,
    },
    /// Print every event, of whatever module, that one request caused
    Correlation {
        /// The correlation id
        id: Uuid,
        #[command(flatten)]
        form: events::Form,
    },
}

/// Carries out the command.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Common { config, mut overrides } = cli.common;
    if let Command::Serve { listen, admin_listen, wire_listen, modules, database, .. } =
        &cli.command
    {
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
                return Err(Misused(problem.to_owned()).into());
            }
        };
    }
    // What follows from the code alone wants no configuration.
    match &cli.command {
        Command::Openapi => {
            output::line(openapi::document().to_pretty_json()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Asyncapi => {
            output::line(serde_json::to_string_pretty(&asyncapi::document())?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Modules { command } => {
            return modules::run(command).map(|()| ExitCode::SUCCESS);
        }
        Command::Contracts { command } => return contracts::run(command),
        Command::Wire { command } => return calls::run(command).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Mapping(arguments) => return mapping::run(arguments).await,
        _ => {}
    }
    #[cfg(feature = "bench")]
    let is_store_named = overrides.store.is_some();
    let mut configuration = Configuration::load(config.as_deref(), &overrides)?;
    if !matches!(cli.command, Command::Serve { .. })
        && std::env::var_os("BASCULE_LOG__FILTER").is_none()
    {
        // Of the commands for people only what goes wrong is told beside the result.
        configuration.log.filter = "warn".to_owned();
    }
    telemetry::start_logging(&configuration.log)?;
    if !matches!(cli.command, Command::Serve { dump_config: true, .. }) {
        descriptors::expect_enough(descriptors::raise_limit())?;
    }
    match cli.command {
        Command::Serve { dump_config: true, .. } => {
            output::line(configuration.dump()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve { .. } => serve::serve(configuration).await.map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Import(arguments) => import::import(&configuration, &arguments).await,
        Command::Events { command } => {
            match command {
                EventsCommand::Tail { lines, follow, form } => {
                    events::tail(&configuration, lines, follow, form).await?;
                }
                EventsCommand::Show { stream, form } => {
                    events::show(&configuration, &stream, form).await?;
                }
                EventsCommand::Correlation { id, form } => {
                    events::correlation(&configuration, id, form).await?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Projections { command } => projections::run(&configuration, command).await,
        Command::Parked { command } => parked::run(&configuration, command).await,
        #[cfg(feature = "import")]
        Command::Quarantine(asked) => quarantine::run(&configuration, asked).await,
        #[cfg(feature = "extract")]
        Command::Extract(arguments) => extract::run(&arguments).await,
        #[cfg(feature = "bench")]
        Command::Bench(asked) => bench::run(&configuration, &asked, is_store_named).await,
        Command::Openapi
        | Command::Asyncapi
        | Command::Modules { .. }
        | Command::Wire { .. }
        | Command::Contracts { .. } => Ok(ExitCode::SUCCESS),
        #[cfg(feature = "import")]
        Command::Mapping(_) => Ok(ExitCode::SUCCESS),
    }
}
