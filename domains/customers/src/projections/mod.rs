//! The module's projections.

mod directory;

pub use directory::Directory;
