//! What a caller takes an aggregate to be when it sends a command.

use std::fmt;
use std::sync::Arc;

use crate::log::event::Revision;

/// The revisions at one of which an aggregate must be for a command to be carried out. None of them
/// is met by an aggregate without events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedAt(Arc<[Revision]>);

impl ExpectedAt {
    /// Any one of these revisions; of none, the command is never carried out.
    pub fn one_of(revisions: impl IntoIterator<Item = Revision>) -> Self {
        Self(revisions.into_iter().collect())
    }

    /// The revisions.
    pub fn revisions(&self) -> &[Revision] {
        &self.0
    }

    /// Whether an aggregate with this last revision is as expected.
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
