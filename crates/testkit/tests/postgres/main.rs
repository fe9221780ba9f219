//! What is particular to the store in PostgreSQL: how it fails, and how it recovers.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod outages;
mod proxy;
mod store;

use std::time::Duration;

use kernel::event::StreamName;
use kernel::store::{AppendError, AppendRequest, ExpectedRevision};
use store_sqlx::StoreOptions;
use testkit::contract::events;

/// Longer than any step here; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(30);

/// Gives up soon, so that a test need not wait for it.
fn impatient() -> StoreOptions {
    StoreOptions {
        statement_timeout: Duration::from_millis(300),
        patience: Duration::from_millis(100),
        ..StoreOptions::default()
    }
}

fn request(stream: &str, expected: ExpectedRevision) -> AppendRequest {
    let stream = StreamName::new(stream).unwrap();
    AppendRequest { stream, expected, events: events(1) }
}

#[track_caller]
fn assert_unavailable(error: &AppendError) {
    assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
}

/// Repeats an attempt until it succeeds.
async fn eventually<T, E: std::fmt::Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let mut last = None;
    let trying = async {
        loop {
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(LONG, trying).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("it never succeeded: {last:?}"),
    }
}
