//! Tests of the whole system: the real binary, black box over HTTP and the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod administration;
mod admission;
mod architecture;
mod browsers;
mod command_line;
mod contracts;
mod crashes;
mod erasure;
mod imports;
mod limits;
mod lock;
mod logs;
mod mappings;
mod modules;
mod oracle;
mod parked;
mod projections;
mod proofs;
mod saga;
mod scaffold;
mod schemas;
mod server;
mod stopping;
mod walk;
mod wire;
