//! Two servers on one store, under load: one is killed, stopped or paused past its lease, the
//! other goes on with its subscriptions.

use std::time::{Duration, Instant};

use testkit::postgres::TestDatabase;
use testkit::random::{Random, seed};
use tokio::sync::watch;

use super::audit::{Audit, compare_with_fresh_fold};
use super::checkpoints::{a_file_is_being_written, tokens};
use super::load::{Addresses, Load};
use super::{assert_healthy, report, rounds};
use crate::server::{Data, Server};

/// Short, so that a test does not wait long for one to expire.
const LEASE: Duration = Duration::from_secs(1);
const CLIENTS: u64 = 6;
const OPERATIONS: usize = 8;
const LONGEST_MS: u64 = 300;
const SETTLED_EVERY: u64 = 5;

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    Stopped,
    Paused,
}

/// Two servers and those who ask them.
struct Pair {
    data: Data,
    servers: [Server; 2],
    address: watch::Sender<Vec<String>>,
    random: Random,
    audit: Audit,
    seed: u64,
    round: u64,
    begun: Instant,
}

impl Pair {
    fn start(data: Data) -> Self {
        let seed = seed();
        println!("SEED={seed} makes the same choices again");
        let servers = [data.serve(), data.serve()];
        let address = watch::Sender::new(addresses(&servers));
        let (random, audit) = (Random::new(seed), Audit::default());
        Self { data, servers, address, random, audit, seed, round: 0, begun: Instant::now() }
    }

    fn load(&mut self) -> Load {
        self.round += 1;
        let addresses: Addresses = self.address.subscribe();
        Load::start(&addresses, self.seed, self.round, CLIENTS, OPERATIONS)
    }

    async fn some_moment(&mut self) {
        // No moment is waited for: whatever is under way then is cut off.
        tokio::time::sleep(Duration::from_millis(self.random.below(LONGEST_MS))).await;
    }

    /// Starts a server in the place of one that has ended.
    fn replace(&mut self, which: usize) {
        self.servers[which] = self.data.serve();
        self.address.send_replace(addresses(&self.servers));
    }

    /// Pauses a server, though not in the midst of writing a file that others write too.
    async fn pause(&mut self, which: usize) {
        loop {
            self.servers[which].pause();
            if !a_file_is_being_written(&self.data).await {
                return;
            }
            self.servers[which].resume();
            self.some_moment().await;
        }
    }

    /// Pauses a server until the other runs every subscription, and lets it go on. It learns that
    /// they are not its own any more, and does nothing to them before.
    async fn pause_past_the_lease(&mut self, which: usize) {
        self.pause(which).await;
        let other = &self.servers[1 - which];
        other.until_it_runs_everything().await;
        let taken_over = tokens(&self.data).await;
        self.servers[which].resume();
        self.servers[which].until_it_stands_by().await;
        assert_eq!(tokens(&self.data).await, taken_over, "it took something back");
    }

    async fn suffer(&mut self, which: usize, fate: Fate) {
        match fate {
            Fate::Killed => self.servers[which].kill(),
            Fate::Stopped => assert!(self.servers[which].stop().success()),
            Fate::Paused => return self.pause_past_the_lease(which).await,
        }
        self.replace(which);
    }

    /// Looks at what came of it while the servers go on.
    async fn look(&mut self, load: Load, settled: bool) {
        let told = load.end().await;
        self.audit.read_on(&self.data, &self.servers[0]).await;
        self.audit.compare_with(told);
        if settled {
            self.audit.until_settled(&self.data, &self.servers[0]).await;
            self.audit.compare_with_provider(&self.data).await;
            assert_healthy(&self.data);
        }
    }

    async fn end(self, what: &str) {
        let Self { data, servers: [mut one, other], audit, .. } = self;
        assert!(one.stop().success());
        other.until_it_runs_everything().await;
        compare_with_fresh_fold(&data, other).await;
        report(what, self.round, &audit, self.seed, self.begun);
    }
}

fn addresses(servers: &[Server; 2]) -> Vec<String> {
    servers.iter().map(|server| server.http.clone()).collect()
}

async fn one_of_two_is_always_there(engine: &str, data: Data, rounds: u64) {
    let mut pair = Pair::start(data.with_lease(LEASE));
    for round in 1..=rounds {
        let load = pair.load();
        pair.some_moment().await;
        let which = pair.random.index(2);
        let fate = *pair.random.one_of(&[Fate::Killed, Fate::Stopped, Fate::Paused]);
        pair.suffer(which, fate).await;
        pair.look(load, round % SETTLED_EVERY == 0 || round == rounds).await;
    }
    pair.end(&format!("two servers, one killed, stopped or paused, on {engine}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_one_is_killed_stopped_or_paused_on_sqlite() {
    one_of_two_is_always_there("SQLite", Data::new(), rounds(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_one_is_killed_stopped_or_paused_on_postgres() {
    let data = Data::within(TestDatabase::create().await);
    one_of_two_is_always_there("PostgreSQL", data, rounds(4)).await;
}

/// The owner of everything is paused again and again in the midst of its work.
async fn a_paused_owner_changes_nothing(data: Data) {
    let mut pair = Pair::start(data.with_lease(LEASE));
    for which in [0, 1, 0] {
        // Whatever the other runs goes over to this one, which will be the owner.
        assert!(pair.servers[1 - which].stop().success());
        pair.servers[which].until_it_runs_everything().await;
        pair.replace(1 - which);
        pair.servers[1 - which].until_it_stands_by().await;
        let load = pair.load();
        pair.some_moment().await;
        pair.pause_past_the_lease(which).await;
        pair.look(load, true).await;
    }
    pair.end("an owner paused past its lease").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_changes_nothing_on_sqlite() {
    a_paused_owner_changes_nothing(Data::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_changes_nothing_on_postgres() {
    a_paused_owner_changes_nothing(Data::within(TestDatabase::create().await)).await;
}

/// With leases that never expire, what is taken over was given back.
async fn a_server_that_stops_hands_over(data: Data) {
    let mut pair = Pair::start(data.with_lease(Duration::from_secs(3_600)));
    for which in [0, 1] {
        let load = pair.load();
        pair.some_moment().await;
        assert!(pair.servers[which].stop().success());
        pair.servers[1 - which].until_it_runs_everything().await;
        pair.replace(which);
        pair.look(load, true).await;
    }
    pair.end("an owner stopped in order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_hands_over_on_sqlite() {
    a_server_that_stops_hands_over(Data::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_hands_over_on_postgres() {
    a_server_that_stops_hands_over(Data::within(TestDatabase::create().await)).await;
}
