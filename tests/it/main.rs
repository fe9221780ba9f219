//! Tests of the whole system: the real binary, black box over HTTP and the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod architecture;
mod command_line;
mod contracts;
mod crashes;
mod oracle;
mod proofs;
mod saga;
mod server;
