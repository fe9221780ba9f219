//! Scenarios of the billing module on both engines: given events, when a command or
//! another module's event, then eventually the view.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod contract;
mod crediting;
mod dates;
mod erasure;
mod imports;
mod numbering;
mod reading;
mod runs;
mod saga;
mod stores;
mod world;
