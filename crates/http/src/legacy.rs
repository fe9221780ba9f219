//! What an answer says of the legacy system: whose word counts, and where something comes from.

use kernel::sync::LegacyReference;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose word counts: this system's, or that of the legacy system it was imported from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Changed here.
    Bascule,
    /// Changed in the legacy system only.
    Legacy,
}

impl Owner {
    /// The name it has in the API and in read models.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bascule => "bascule",
            Self::Legacy => "legacy",
        }
    }
}

/// Where something imported comes from, and what is irregular about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Legacy {
    /// The legacy system's name in the mapping.
    #[schema(example = "tryton")]
    pub source: String,
    /// The key there.
    #[schema(example = "17")]
    pub id: String,
    /// What is irregular about it, in short words.
    #[serde(default)]
    #[schema(required = true)]
    pub flags: Vec<String>,
}

impl Legacy {
    /// What a legacy system is referred to by, with what is irregular.
    pub fn new(reference: &LegacyReference, flags: &[String]) -> Self {
        let LegacyReference { source, id } = reference.clone();
        Self { source, id, flags: flags.to_vec() }
    }
}
