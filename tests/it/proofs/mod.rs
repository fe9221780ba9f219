//! Proofs of what the store and the subscriptions promise, with the real binary: processes are
//! killed and paused, databases stopped and restored, and nothing is lost, doubled or reordered.
//! `docs/proof.md` says what is proven how.
#![allow(clippy::print_stdout, reason = "seeds, and how it went")]

mod audit;
mod crashes;
mod load;
mod provider;
