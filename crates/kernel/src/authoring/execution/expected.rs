//! The caller's expectation of an aggregate's revision.

use std::fmt;
use std::sync::Arc;

use crate::log::event::Revision;

/// The accepted revisions of an aggregate for a command. An aggregate without events meets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedAt(Arc<[Revision]>);

impl ExpectedAt {
    /// Expects any one of these revisions; an empty list rejects every command.
    pub fn one_of(revisions: impl IntoIterator<Item = Revision>) -> Self {
        Self(revisions.into_iter().collect())
    }

    /// Returns the revisions.
    pub fn revisions(&self) -> &[Revision] {
        &self.0
    }

    /// Returns whether an aggregate with this last revision meets the expectation.
    pub fn is_met_by(&self, actual: Option<Revision>) -> bool {
        actual.is_some_and(|actual| self.0.contains(&actual))
    }
}

impl From<Revision> for ExpectedAt {
    fn from(revision: Revision) -> Self {
        Self::one_of([revision])
    }
}

impl fmt::Display for ExpectedAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [] => formatter.write_str("no revision"),
            [one] => write!(formatter, "revision {one}"),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                write!(formatter, "one of the revisions {}", several.join(", "))
            }
        }
    }
}
