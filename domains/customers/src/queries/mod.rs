//! The SQL that reads and writes the module's read models.

mod directory;

pub use directory::{
    Filter, LISTS, STATEMENTS, change_address, change_contact, close, erase, find, import, list,
    register, revise,
};
