use testkit::cancelling::{Moment, Sessions, cut_off};
use testkit::postgres::{TestDatabase, connect, execute};

use super::*;
use crate::postgres_pool_options;

const APPLICATION: &str = "testing-transactions";
const INSERT: &str = "INSERT INTO note VALUES (1)";
const COUNT: &str = "SELECT count(*) FROM note";

/// Transactions on one connection, and what is seen of them from outside.
struct World {
    transactions: Transactions<Postgres>,
    sessions: Sessions,
    other: PgConnection,
    _database: TestDatabase,
}

impl World {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        execute(database.url(), "CREATE TABLE note (id int)").await;
        let options: PgConnectOptions = database.url().parse().unwrap();
        let options = options.application_name(APPLICATION);
        let pool = postgres_pool_options().max_connections(1);
        let transactions = Transactions::on_postgres(pool, options);
        let sessions = Sessions::of(database.url(), APPLICATION).await;
        let other = connect(database.url()).await;
        let mut world = Self { transactions, sessions, other, _database: database };
        world.assert_is_clean().await;
        world
    }

    async fn notes(&mut self) -> i64 {
        sqlx::query_scalar(COUNT).fetch_one(&mut self.other).await.unwrap()
    }

    /// A statement lasts, a transaction that is rolled back does not, and the next one begins.
    async fn assert_is_clean(&mut self) {
        let before = self.notes().await;
        sqlx::query(INSERT).execute(&self.transactions.0).await.unwrap();
        assert_eq!(self.notes().await, before + 1, "what was acknowledged is not there");
        let mut rolled_back = self.transactions.begin("BEGIN").await.unwrap();
        sqlx::query(INSERT).execute(&mut *rolled_back).await.unwrap();
        rolled_back.rollback().await.unwrap();
        assert_eq!(self.notes().await, before + 1);
        self.sessions.until_none_is_in_a_transaction().await;
    }
}

#[tokio::test]
async fn a_session_that_comes_back_in_a_transaction_is_closed() {
    let mut world = World::new().await;
    for begun in ["BEGIN", "BEGIN; SELECT 1 / 0"] {
        let fresh = world.sessions.processes().await;
        // sqlx does not count what is begun in this way.
        drop(sqlx::raw_sql(begun).execute(&world.transactions.0).await);
        world.assert_is_clean().await;
        assert_ne!(world.sessions.processes().await, fresh, "it was handed out again");
    }
    world.transactions.begin("BEGIN; SELECT 1 / 0").await.unwrap_err();
    world.assert_is_clean().await;
}

#[tokio::test]
async fn what_sqlx_leaves_of_a_transaction_that_is_begun_half_is_closed() {
    let mut world = World::new().await;
    for moment in [Moment::Waiting, Moment::Woken] {
        for polls in 1.. {
            #[expect(clippy::disallowed_methods, reason = "what it leaves behind is the test")]
            let begun = cut_off(world.transactions.0.begin(), polls, moment).await;
            let is_whole = begun.is_some();
            drop(begun);
            world.assert_is_clean().await;
            if is_whole {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_transaction_costs_no_session_however_it_ends() {
    let mut world = World::new().await;
    let fresh = world.sessions.processes().await;
    let begin = async || world.transactions.begin("BEGIN").await.unwrap();
    begin().await.commit().await.unwrap();
    begin().await.rollback().await.unwrap();
    drop(begin().await);
    let mut failed = begin().await;
    sqlx::raw_sql("SELECT 1 / 0").execute(&mut *failed).await.unwrap_err();
    drop(failed);
    for moment in [Moment::Waiting, Moment::Woken] {
        for polls in 1..=4 {
            drop(cut_off(begin(), polls, moment).await);
        }
    }
    world.assert_is_clean().await;
    assert_eq!(world.sessions.processes().await, fresh);
}

/// As when a worker of a server ends that shares the connections with the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_runtime_ends_is_not_left_open() {
    let mut world = World::new().await;
    for polls in 1..=4 {
        let transactions = world.transactions.clone();
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let beginning = cut_off(transactions.begin("BEGIN"), polls, Moment::Waiting);
            // The rest of it ends with the runtime.
            runtime.unwrap().block_on(async { drop(beginning.await) });
        });
        tokio::task::spawn_blocking(|| worker.join().unwrap()).await.unwrap();
        world.assert_is_clean().await;
    }
}
