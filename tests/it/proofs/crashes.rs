//! The server, and under it PostgreSQL, are killed at random moments under load.

use std::time::{Duration, Instant};

use testkit::random::{Random, seed};
use tokio::sync::watch;

use super::audit::{Audit, compare_with_fresh_fold};
use super::load::Load;
use crate::server::Data;

const CLIENTS: u64 = 6;
/// Of each client in a round.
const OPERATIONS: usize = 8;
/// The latest moment of a round at which it is killed.
const LONGEST_MS: u64 = 400;
/// Rounds after which all is left to come to rest and looked at.
const SETTLED_EVERY: u64 = 10;

/// How many rounds: few in the ordinary run, `ROUNDS` of them when asked for.
fn rounds(few: u64) -> u64 {
    std::env::var("ROUNDS").map_or(few, |text| text.parse().unwrap())
}

/// Says how it went, to whoever ran it for its own sake.
fn report(what: &str, rounds: u64, audit: &Audit, seed: u64, begun: Instant) {
    let (acknowledged, cut_off) = audit.acknowledged();
    assert!(cut_off > 0, "no request was cut off");
    println!(
        "RESULT {what}: {rounds} rounds, {acknowledged} acknowledged requests ({cut_off} of them \
         cut off before), {} events, {:.0} s, SEED={seed}",
        audit.events(),
        begun.elapsed().as_secs_f64(),
    );
}

/// Nothing was set aside, and nothing failed in a way nobody thought of.
fn assert_healthy(data: &Data) {
    let log = data.server_log();
    let mut lines = log.lines();
    let bad = lines.find(|line| line.contains("parked") || line.contains("panicked"));
    assert_eq!(bad, None);
}

async fn killed_at_random_moments(data: Data, rounds: u64) {
    let (seed, begun) = (seed(), Instant::now());
    println!("SEED={seed} makes the same choices again");
    let mut random = Random::new(seed);
    let mut audit = Audit::default();
    let mut server = data.serve();
    let (address, addresses) = watch::channel(vec![server.http.clone()]);
    for round in 0..rounds {
        let load = Load::start(&addresses, seed, round, CLIENTS, OPERATIONS);
        // No moment is waited for: whatever is under way then is cut off.
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_MS))).await;
        server.kill();
        if random.percent(20) {
            // Once more, while it starts.
            let mut starting = data.start(&[]);
            tokio::time::sleep(Duration::from_millis(random.below(LONGEST_MS))).await;
            starting.kill();
        }
        server = data.serve();
        address.send_replace(vec![server.http.clone()]);
        let told = load.end().await;
        audit.read_on(&data, &server).await;
        audit.compare_with(told);
        if round % SETTLED_EVERY == SETTLED_EVERY - 1 || round == rounds - 1 {
            audit.until_settled(&data, &server).await;
            audit.compare_with_provider(&data).await;
            assert_healthy(&data);
        }
    }
    compare_with_fresh_fold(&data, server).await;
    report("SIGKILL on SQLite", rounds, &audit, seed, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_sqlite() {
    killed_at_random_moments(Data::with_short_deadline(), rounds(6)).await;
}
