//! The runtime: runs projections and reactions while the process lives.
//!
//! Bottom-up: the lease and its owner (`held_lease`), a subscription on this replica (`replica`),
//! waiting for the lease (`standby`), supervision of successive tenures (`supervision`), the work of
//! a tenure (`feed`, `applying`, `handling`, `reacting`), and what a program starts
//! ([`projection_runner`], [`reaction_runner`]). Module authors implement none of it.

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
