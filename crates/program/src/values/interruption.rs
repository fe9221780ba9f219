//! Requests to stop the process: Ctrl-C on a terminal, SIGTERM from an orchestrator.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Installs handlers for SIGTERM and SIGINT at once, and returns a future that waits for one of them. A
/// signal that arrives before the first poll is not lost and does not end the process.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    let (terminated, interrupted) =
        (listen(SignalKind::terminate(), "SIGTERM"), listen(SignalKind::interrupt(), "SIGINT"));
    async move {
        tokio::select! {
            () = comes(terminated) => {}
            () = comes(interrupted) => {}
        }
    }
}

fn listen(kind: SignalKind, name: &str) -> Option<Signal> {
    let listening = signal(kind);
    listening.inspect_err(|error| tracing::warn!(%error, "cannot listen for {name}")).ok()
}

async fn comes(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Cancels the work of a command when the process is asked to stop, until this value is dropped.
pub struct Interruption {
    cancel: CancellationToken,
    _listening: AbortOnDropHandle<()>,
}

impl Interruption {
    /// Starts to listen for signals.
    pub fn listen() -> Self {
        let cancel = CancellationToken::new();
        let asked = cancel.clone();
        let stop = asked_to_stop();
        let listening = tokio::spawn(async move {
            stop.await;
            asked.cancel();
        });
        Self { cancel, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Returns the token that is cancelled when the process is asked to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_it_is_waited_for_is_not_lost() {
        let asked = asked_to_stop();
        kill_process(getpid(), Signal::TERM).unwrap();
        asked.await;
    }
}
