//! Asked to stop: by Ctrl-C on a terminal, by SIGTERM from an orchestrator.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Listens for SIGTERM and SIGINT from now on, and waits for one of them: what comes before it is polled
/// is not lost, and does not end the process.
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
    listening.inspect_err(|error| tracing::warn!(%error, "{name} cannot be listened for")).ok()
}

async fn comes(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Cancels a command's work when it is asked to stop, for as long as this value is kept.
pub struct Interruption {
    cancel: CancellationToken,
    _listening: AbortOnDropHandle<()>,
}

impl Interruption {
    /// Begins to listen.
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

    /// Cancelled when the process is asked to stop.
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
