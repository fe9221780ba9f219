//! The command line.

mod calls;
pub mod cli;
mod contracts;
mod events;
mod extract;
#[cfg(feature = "import")]
mod import;
#[cfg(feature = "import")]
mod mapping;
mod modules;
mod parked;
mod projections;
#[cfg(feature = "import")]
mod quarantine;
