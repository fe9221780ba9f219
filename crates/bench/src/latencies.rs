//! Latencies of requests, in bounded memory.

use std::time::Duration;

/// Buckets per doubling of the time: the error of a percentile is at most 1.1 %.
const PER_DOUBLING: f64 = 32.0;
/// Up to 2⁴⁰ ns, 18 minutes; longer times count as that.
const BUCKETS: usize = 40 * PER_DOUBLING as usize;

/// A histogram of durations, with logarithmically spaced buckets.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Vec<u64>,
    longest: Duration,
}

impl Latencies {
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS], longest: Duration::ZERO }
    }

    pub fn add(&mut self, took: Duration) {
        let bucket = (took.as_nanos().max(1) as f64).log2() * PER_DOUBLING;
        self.counts[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.longest = self.longest.max(took);
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.longest = self.longest.max(other.longest);
    }

    /// Returns the time within which this part of the requests (0 to 1) completed, in milliseconds;
    /// `None` if there were none.
    pub fn percentile_ms(&self, part: f64) -> Option<f64> {
        let total: u64 = self.counts.iter().sum();
        let wanted = ((total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        let middle = ((bucket as f64 + 0.5) / PER_DOUBLING).exp2();
        Some((middle / 1e6).min(milliseconds(self.longest)))
    }

    /// Returns the longest time, in milliseconds; `None` if there were no requests.
    pub fn longest_ms(&self) -> Option<f64> {
        self.counts.iter().any(|count| *count > 0).then(|| milliseconds(self.longest))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times_within_two_percent() {
        let mut latencies = Latencies::new();
        assert_eq!((latencies.percentile_ms(0.5), latencies.longest_ms()), (None, None));
        for microseconds in 1..=10_000 {
            latencies.add(Duration::from_micros(microseconds));
        }
        for (part, exact) in [(0.001, 0.01), (0.5, 5.0), (0.99, 9.9), (1.0, 10.0)] {
            let found = latencies.percentile_ms(part).unwrap();
            assert!((found / exact - 1.0).abs() < 0.02, "{part}: {found} instead of {exact}");
        }
        assert!((latencies.longest_ms().unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn merging_counts_both() {
        let (mut some, mut others) = (Latencies::new(), Latencies::new());
        some.add(Duration::from_millis(1));
        others.add(Duration::from_millis(100));
        some.merge(&others);
        assert!(some.percentile_ms(0.5).unwrap() < 1.1);
        assert!(some.percentile_ms(1.0).unwrap() > 98.0);
    }

    #[test]
    fn times_beyond_the_histogram_are_kept_at_its_ends() {
        let mut latencies = Latencies::new();
        latencies.add(Duration::ZERO);
        latencies.add(Duration::from_secs(1_000_000));
        assert!(latencies.percentile_ms(0.5).unwrap() < 0.001);
        assert!(latencies.percentile_ms(1.0).unwrap() > 1e6, "2⁴⁰ ns at least");
    }
}
