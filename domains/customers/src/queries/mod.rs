//! What the read models answer.

mod directory;
mod view;

pub use directory::{Filter, LISTS, STATEMENTS, find, list};
pub use view::{CustomerView, Kind, PostalAddress, Status};
