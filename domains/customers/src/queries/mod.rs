//! The read models' SQL: a file per read model.

pub mod directory;
