//! Retry pauses: growing, bounded, and with jitter, so that many waiters do not retry at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::seams::random_bytes;

/// Returns endless exponential pauses from `first` to at most `longest`, each with jitter.
pub fn endless(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Returns a random duration between 0.5 and 1.5 times the pause.
pub fn jittered(pause: Duration) -> Duration {
    let random = random_bytes::<1>().map_or(128, |[byte]| byte);
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}
