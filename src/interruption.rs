//! Asked to stop: by Ctrl-C on a terminal, by SIGTERM from an orchestrator.

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Waits for SIGTERM or SIGINT.
pub async fn until_asked_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminated => {}
        interrupted = tokio::signal::ctrl_c() => {
            if let Err(error) = interrupted {
                tracing::warn!(%error, "SIGINT cannot be listened for");
            }
        }
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
        let listening = tokio::spawn(async move {
            until_asked_to_stop().await;
            asked.cancel();
        });
        Self { cancel, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Cancelled when the process is asked to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }
}
