//! The streams that a module writes.

use kernel::codec::EventSet;
use kernel::decider::Decider;

/// The streams of one kind of aggregate, `<name>-<id>`.
#[derive(Debug, Clone)]
pub struct StreamCategory {
    /// The first part of their names.
    pub name: &'static str,
    /// The event types that this release writes there.
    pub written: Vec<&'static str>,
    /// The event types that this release reads there: those it writes, and every older version.
    pub readable: Vec<&'static str>,
}

impl StreamCategory {
    pub(crate) fn of<D: Decider>() -> Self {
        Self { name: D::CATEGORY, written: D::Event::types(), readable: D::Event::readable_types() }
    }
}
