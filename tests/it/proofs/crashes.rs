//! The server, and under it PostgreSQL, are killed at random moments under load.

use std::time::{Duration, Instant};

use testkit::postgres::{PostgresServer, TestDatabase};
use testkit::random::{Random, seed};
use tokio::sync::watch;

use super::audit::{Audit, compare_with_fresh_fold};
use super::load::Load;
use super::{assert_healthy, report, rounds};
use crate::server::Data;

const CLIENTS: u64 = 6;
/// Of each client in a round.
const OPERATIONS: usize = 8;
/// The latest moment of a round at which it is killed.
const LONGEST_MS: u64 = 400;
/// So many times as many rounds, where nothing was cut off before.
const MOST_TIMES: u64 = 10;
/// Rounds after which all is left to come to rest and looked at.
const SETTLED_EVERY: u64 = 10;

/// Whether there is another round: of few, a random moment may hit none that has a request under way.
fn goes_on(round: u64, rounds: u64, audit: &Audit) -> bool {
    let (_, cut_off) = audit.acknowledged();
    round < rounds || (cut_off == 0 && round < rounds * MOST_TIMES)
}

async fn killed_at_random_moments(engine: &str, data: Data, rounds: u64) {
    let (seed, begun) = (seed(), Instant::now());
    println!("SEED={seed} makes the same choices again");
    let mut random = Random::new(seed);
    let mut audit = Audit::default();
    let mut server = data.serve();
    let (address, addresses) = watch::channel(vec![server.http.clone()]);
    let mut round = 0;
    while goes_on(round, rounds, &audit) {
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
        round += 1;
        if round % SETTLED_EVERY == 0 || !goes_on(round, rounds, &audit) {
            audit.until_settled(&data, &server).await;
            audit.compare_with_provider(&data).await;
            assert_healthy(&data);
        }
    }
    compare_with_fresh_fold(&data, server).await;
    assert!(audit.acknowledged().1 > 0, "no request was cut off");
    report(&format!("SIGKILL on {engine}"), round, &audit, seed, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_sqlite() {
    killed_at_random_moments("SQLite", Data::new().with_short_deadline(), rounds(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_postgres() {
    let data = Data::within(TestDatabase::create().await).with_short_deadline();
    // The server that starts has to wait until the lease of the one that was killed expires.
    let data = data.with_lease(Duration::from_millis(500));
    killed_at_random_moments("PostgreSQL", data, rounds(6)).await;
}

/// PostgreSQL is killed under a server that stays up and goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_at_random_moments() {
    let rounds = rounds(8).div_ceil(4);
    let (seed, begun) = (seed(), Instant::now());
    println!("SEED={seed} makes the same choices again");
    let mut random = Random::new(seed);
    let mut audit = Audit::default();
    let mut postgres = PostgresServer::start().await;
    let data = Data::within(TestDatabase::create_on(&postgres.url()).await).with_short_deadline();
    let server = data.serve();
    let addresses = watch::Sender::new(vec![server.http.clone()]).subscribe();
    let mut round = 0;
    while goes_on(round, rounds, &audit) {
        let load = Load::start(&addresses, seed, round, CLIENTS, OPERATIONS);
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_MS))).await;
        postgres.stop_immediately();
        server.until_admin_is("/readyz", 503, |_| true).await;
        postgres.restart().await;
        let told = load.end().await;
        server.until_ready().await;
        audit.read_on(&data, &server).await;
        audit.compare_with(told);
        round += 1;
        if round % SETTLED_EVERY == 0 || !goes_on(round, rounds, &audit) {
            audit.until_settled(&data, &server).await;
            audit.compare_with_provider(&data).await;
            assert_healthy(&data);
        }
    }
    compare_with_fresh_fold(&data, server).await;
    assert!(audit.acknowledged().1 > 0, "no request was cut off");
    report("PostgreSQL killed under the server", round, &audit, seed, begun);
}
