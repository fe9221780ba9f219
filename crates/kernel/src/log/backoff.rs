//! Pauses between tries: growing, bounded, and spread so that many waiters do not come back at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::seams::random_bytes;

/// Endless exponential pauses from `first` to at most `longest`, each with jitter.
pub fn endless(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Between half of a pause and one and a half of it.
pub fn jittered(pause: Duration) -> Duration {
    let random = random_bytes::<1>().map_or(128, |[byte]| byte);
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}
