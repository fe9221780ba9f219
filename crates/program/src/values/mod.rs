//! Basic parts that every command uses and that depend on nothing else in the program.

pub mod descriptors;
pub mod failure;
pub mod interruption;
pub mod output;
pub mod progress;
