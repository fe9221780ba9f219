//! Progress of long-running work: a bar on a terminal, a periodic line otherwise.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::values::output;

/// Interval between progress lines when standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A unit of work and its presentation.
#[derive(Clone, Copy)]
pub struct Unit {
    /// Template of the bar on a terminal.
    pub template: &'static str,
    /// Text of a progress line, from the bar, the amount done and the total.
    pub text: fn(&ProgressBar, u64, u64) -> String,
}

/// Events of the log.
pub const EVENTS: Unit = Unit {
    template: "{prefix} {bar:30} {human_pos}/{human_len} events  {per_sec}  {eta} left",
    text: |bar, done, total| format!("{done} of {total} events, {:.0} events/s", bar.per_sec()),
};

/// Shows the progress of one piece of work on standard error.
pub struct Meter {
    label: String,
    unit: Unit,
    bar: ProgressBar,
    /// Time of the last progress line; `None` on a terminal.
    last_line: Option<Mutex<Instant>>,
}

impl Meter {
    /// Starts to show progress.
    pub fn new(label: impl Into<String>, unit: Unit) -> Self {
        let label = label.into();
        if !std::io::stderr().is_terminal() {
            let last_line = Some(Mutex::new(Instant::now()));
            return Self { label, unit, bar: ProgressBar::hidden(), last_line };
        }
        let bar = ProgressBar::no_length().with_prefix(label.clone());
        if let Ok(style) = ProgressStyle::with_template(unit.template) {
            bar.set_style(style);
        }
        Self { label, unit, bar, last_line: None }
    }

    /// Updates the progress.
    pub fn update(&self, done: u64, total: u64, message: String) {
        let begins = self.bar.length().is_none();
        self.bar.set_length(total);
        self.bar.set_position(done);
        if begins {
            // Work that was done before the start does not count for the rate.
            self.bar.reset_eta();
        }
        self.bar.set_message(message);
        let Some(last_line) = &self.last_line else { return };
        let mut last_line = last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last_line.elapsed() < LINE_EVERY {
            return;
        }
        *last_line = Instant::now();
        let (label, left) = (&self.label, HumanDuration(self.bar.eta()));
        let work = (self.unit.text)(&self.bar, done, total);
        output::notice(format_args!("{label}: {work}, {left} left"));
    }

    /// Removes the bar: the work is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
