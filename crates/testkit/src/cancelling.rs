//! Cancelled operations, as when a client hangs up, a timeout expires or a server stops: drops their
//! futures at every await, and checks the state that they leave behind.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sqlx::PgConnection;

use crate::postgres::connect;

/// More than any operation awaits.
const MOST_AWAITS: usize = 10_000;
/// Shorter than the server's timeout of idle transactions.
const SOON: Duration = Duration::from_secs(5);

/// When to drop a waiting future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As soon as it waits: what it sent has hardly arrived.
    Waiting,
    /// When it was woken, before it is polled again.
    Woken,
}

/// Polls a future up to a number of times and then drops it. Returns its output if it completed.
pub async fn cut_off<T>(
    future: impl Future<Output = T>,
    polls: usize,
    moment: Moment,
) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && moment == Moment::Waiting => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Starts an operation repeatedly and drops it at its first await, its second one, and so on, until it
/// completes. Calls `look` after each time. Returns the number of cancellations.
///
/// For an operation with more than twenty awaits, such as opening a connection, not every await is
/// tested.
pub async fn at_every_await(
    moment: Moment,
    mut operation: impl AsyncFnMut(),
    mut look: impl AsyncFnMut(),
) -> usize {
    let (mut polls, mut times) = (1, 0);
    while polls <= MOST_AWAITS {
        let completed = cut_off(operation(), polls, moment).await.is_some();
        look().await;
        if completed {
            return times;
        }
        times += 1;
        polls += 1 + polls / 20;
    }
    panic!("the operation does not complete in {MOST_AWAITS} polls");
}

/// The sessions of one component on a PostgreSQL server.
pub struct Sessions {
    connection: PgConnection,
    application: String,
}

impl Sessions {
    /// Returns those with this application name in the database of a URL.
    pub async fn of(url: &str, application: &str) -> Self {
        Self { connection: connect(url).await, application: application.to_owned() }
    }

    /// Waits until none of them is in a transaction.
    pub async fn until_none_is_in_a_transaction(&mut self) {
        let mut open = Vec::new();
        let waiting = async {
            loop {
                open = self.in_a_transaction().await;
                if open.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, waiting).await;
        assert!(waited.is_ok(), "sessions are still in a transaction: {open:?}");
    }

    /// Returns the last statements of those that are idle in a transaction.
    async fn in_a_transaction(&mut self) -> Vec<String> {
        let open = "SELECT query FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = $1 AND state LIKE 'idle in transaction%'";
        let open = sqlx::query_scalar(open).bind(&self.application);
        open.fetch_all(&mut self.connection).await.unwrap()
    }

    /// Returns the server processes of the sessions, sorted.
    pub async fn processes(&mut self) -> Vec<i32> {
        let processes = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = $1 ORDER BY pid";
        let processes = sqlx::query_scalar(processes).bind(&self.application);
        processes.fetch_all(&mut self.connection).await.unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_future_is_dropped_at_each_of_its_awaits_once() {
        for moment in [Moment::Waiting, Moment::Woken] {
            let (reached, looks) = (Mutex::new(Vec::new()), Mutex::new(0));
            let operation = async || {
                for step in 0..3 {
                    reached.lock().unwrap().push(step);
                    tokio::task::yield_now().await;
                }
            };
            let cut_off = at_every_await(moment, operation, async || {
                *looks.lock().unwrap() += 1;
            });
            assert_eq!(cut_off.await, 3);
            assert_eq!(*reached.lock().unwrap(), [0, 0, 1, 0, 1, 2, 0, 1, 2]);
            assert_eq!(*looks.lock().unwrap(), 4);
        }
    }
}
