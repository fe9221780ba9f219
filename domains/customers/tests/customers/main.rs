//! The module as a whole: on the real SQLite database, with an event store in memory.

mod commands;
mod harness;
mod imports;
