//! What every command uses, and what uses nothing of the program.

pub mod descriptors;
pub mod failure;
pub mod interruption;
pub mod output;
pub mod progress;
