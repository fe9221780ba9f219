//! The module's read models, folded from its own events.

mod directory;

pub use directory::Directory;
