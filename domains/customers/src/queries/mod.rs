//! What the read models answer.

mod sqlite;
mod view;

pub use sqlite::{Filter, STATEMENTS, find, list};
pub use view::{CustomerView, Kind, PostalAddress, Status};
