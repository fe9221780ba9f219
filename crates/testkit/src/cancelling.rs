//! Operations that are cut off: a client hangs up, a timeout strikes, a server stops. Their futures
//! are dropped wherever they wait, and what they leave behind is looked at.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sqlx::PgConnection;

use crate::postgres::connect;

/// More than any operation waits.
const MOST_AWAITS: usize = 10_000;
/// Shorter than a session may idle in a transaction before the server ends it.
const SOON: Duration = Duration::from_secs(5);

/// When a future is dropped that waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As soon as it waits: what it sent has hardly arrived.
    Waiting,
    /// When what it waits for is there, and before it learns of that.
    Woken,
}

/// Polls a future up to so many times and drops it then. Returns its output if that was enough.
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

/// Begins an operation again and again and drops it at its first await, its second one, and so on,
/// until it completes. `look` is called after each time. Returns how often it was cut off.
///
/// Of an operation that waits more than twenty times, as opening a connection does, not every await
/// is taken.
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
    panic!("it does not complete in {MOST_AWAITS} polls");
}

/// The sessions that a part of the system has on a PostgreSQL server.
pub struct Sessions {
    connection: PgConnection,
    application: String,
}

impl Sessions {
    /// Those with this application name in the database of a URL.
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
        assert!(waited.is_ok(), "sessions are left in a transaction: {open:?}");
    }

    /// What those did last that idle in a transaction.
    async fn in_a_transaction(&mut self) -> Vec<String> {
        let open = "SELECT query FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = $1 AND state LIKE 'idle in transaction%'";
        let open = sqlx::query_scalar(open).bind(&self.application);
        open.fetch_all(&mut self.connection).await.unwrap()
    }

    /// The processes of the server that serve them, in order.
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
