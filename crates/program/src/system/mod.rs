//! The open event store and modules, and their subscriptions as operators see and handle them.

#[cfg(feature = "crash-points")]
mod crash_points;
pub mod erasure;
mod existing_store;
pub mod master_key;
pub mod modules;
pub mod opening;
pub mod participants;
pub mod presence;
pub mod shown_event;
pub mod stores;
pub mod subscriptions;
pub mod telemetry;

use crate::configuration::Configuration;
use crate::system::modules::Modules;

/// The modules and the configuration from which commands open the system.
pub struct Program<'m> {
    /// The modules that the binary was built with.
    pub modules: Modules<'m>,
    /// The configuration in force.
    pub configuration: Configuration,
}
