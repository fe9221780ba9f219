//! Proofs of what the store and the subscriptions promise, with the real binary: processes are
//! killed and paused, databases stopped and restored, and nothing is lost, doubled or reordered.
//! `docs/proof.md` says what is proven how.
#![allow(clippy::print_stdout, reason = "seeds, and how it went")]

mod audit;
mod checkpoints;
mod crashes;
mod extraction;
mod failover;
mod load;
mod paging;
mod provider;
mod replicas;
mod restore;

use std::time::Instant;

use audit::Audit;

use crate::server::Data;

/// How many rounds: few in the ordinary run, `ROUNDS` of them when asked for.
fn rounds(few: u64) -> u64 {
    std::env::var("ROUNDS").map_or(few, |text| text.parse().unwrap())
}

/// Says how it went, as a row of a table, to whoever ran it for its own sake.
fn report(what: &str, rounds: u64, audit: &Audit, seed: u64, begun: Instant) {
    let (acknowledged, cut_off) = audit.acknowledged();
    let (events, seconds) = (audit.events(), begun.elapsed().as_secs());
    println!(
        "RESULT | {what} | {rounds} | {acknowledged} | {cut_off} | {events} | {seconds} | {seed} |"
    );
}

/// Nothing was set aside, and nothing failed in a way nobody thought of.
fn assert_healthy(data: &Data) {
    let log = data.server_log();
    let mut lines = log.lines();
    let bad = lines.find(|line| line.contains("was parked") || line.contains("panicked"));
    assert_eq!(bad, None);
}
