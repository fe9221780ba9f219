//! What a client measures.

use std::time::{Duration, Instant};

use serde_json::json;

/// Events of one page: the time of reading is told per page.
pub const PAGE: u64 = 1000;

/// Counts events and notes how long each request took.
#[derive(Debug)]
pub struct Meter {
    end: Instant,
    mark: Instant,
    events: u64,
    /// Events read since the last mark.
    unmarked: u64,
    milliseconds: Vec<f64>,
}

impl Meter {
    pub fn new(end: Instant) -> Self {
        Self { end, mark: Instant::now(), events: 0, unmarked: 0, milliseconds: Vec::new() }
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    /// One append was answered.
    pub fn appended(&mut self, events: usize) {
        let took = self.lap();
        self.milliseconds.push(took);
        self.events += events as u64;
    }

    /// Some more events were read; `true` once time is up.
    pub fn read(&mut self, events: usize) -> bool {
        self.events += events as u64;
        self.unmarked += events as u64;
        if self.unmarked >= PAGE {
            let took = self.lap();
            self.milliseconds.push(took * PAGE as f64 / self.unmarked as f64);
            self.unmarked = 0;
        }
        self.is_over()
    }

    fn lap(&mut self) -> f64 {
        let took = self.mark.elapsed();
        self.mark = Instant::now();
        took.as_secs_f64() * 1e3
    }

    pub fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.milliseconds.extend(other.milliseconds);
    }

    /// Prints the result as one JSON line.
    pub fn print(mut self, elapsed: Duration) {
        self.milliseconds.sort_by(f64::total_cmp);
        let percentile = |part: f64| {
            let last = self.milliseconds.len().checked_sub(1)?;
            let place = (self.milliseconds.len() as f64 * part) as usize;
            self.milliseconds.get(place.min(last)).copied()
        };
        println!(
            "{}",
            json!({
                "events_per_s": self.events as f64 / elapsed.as_secs_f64(),
                "p50_ms": percentile(0.5),
                "p99_ms": percentile(0.99),
                "events": self.events,
            })
        );
    }
}
