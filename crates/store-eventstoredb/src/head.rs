//! How far the log goes: a subscription tells at once, and a look now and then makes up for what it
//! did not see while it was connecting.

use std::time::Duration;

use eventstore::{RetryOptions, StreamPosition, SubscribeToAllOptions};
use kernel::backoff;
use kernel::event::Position;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;

/// How often the end of the log is looked at by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Follows the log until it is told to stop.
pub(crate) fn follow(
    connection: Connection,
    head: Position,
    stop: CancellationToken,
) -> watch::Receiver<Position> {
    let (sender, receiver) = watch::channel(head);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = look(&connection, &sender) => {}
            () = listen(&connection, &sender) => {}
        }
    });
    receiver
}

fn raise(head: &watch::Sender<Position>, found: Position) {
    head.send_if_modified(|known| {
        let later = found > *known;
        if later {
            *known = found;
        }
        later
    });
}

async fn look(connection: &Connection, head: &watch::Sender<Position>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match connection.log().await {
            Ok(log) => raise(head, log.head),
            Err(error) => tracing::debug!(%error, "the end of the log cannot be looked at"),
        }
    }
}

async fn listen(connection: &Connection, head: &watch::Sender<Position>) {
    let mut pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
    let options = SubscribeToAllOptions::default()
        .position(StreamPosition::End)
        .retry_options(RetryOptions::default());
    loop {
        let mut events = connection.events.subscribe_to_all(&options).await;
        let error = loop {
            match events.next().await {
                Ok(event) => {
                    raise(head, event.get_original_event().position.commit);
                    pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
                }
                Err(error) => break error,
            }
        };
        tracing::debug!(%error, "following the log again soon");
        tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }
}
