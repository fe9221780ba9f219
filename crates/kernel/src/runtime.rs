//! What keeps projections and reactions at work, for as long as the process runs.
//!
//! From the ground up: the lease in its owner's hands (`held_lease`), the subscription on this replica
//! (`replica`), waiting for the lease (`standby`), one tenure after the other (`supervision`), what is
//! done in a tenure (`feed`, `applying`, `handling`, `reacting`), and what a program runs
//! ([`projection_runner`], [`reaction_runner`]). Authors of modules implement none of it.

mod applying;
mod feed;
mod handling;
mod held_lease;
mod interruption;
pub mod lag;
mod outages;
mod parking;
pub mod projection_runner;
mod reacting;
pub mod reaction_runner;
mod replica;
mod standby;
pub mod subscription;
mod supervision;
