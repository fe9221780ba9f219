//! The module's own section of the configuration.

use serde::{Deserialize, Serialize};

/// The settings of a module that has none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// A section of the configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("[{section}] {path}: {reason}")]
pub struct SettingsError {
    /// The section: the module's name.
    pub section: &'static str,
    /// The path of the setting within the section, its parts joined by dots.
    pub path: String,
    /// What is wrong, without the setting's path.
    pub reason: String,
}
