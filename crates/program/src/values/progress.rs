//! How far long work has come, for whoever waits for it: a bar on a terminal, a line now and then
//! otherwise.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::values::output;

/// How often a line tells of the work where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is counted, and how it is told.
#[derive(Clone, Copy)]
pub struct Unit {
    /// The bar on a terminal.
    pub template: &'static str,
    /// How far it is, of the bar and how much is done of how much.
    pub told: fn(&ProgressBar, u64, u64) -> String,
}

/// Events of the log.
pub const EVENTS: Unit = Unit {
    template: "{prefix} {bar:30} {human_pos}/{human_len} events  {per_sec}  {eta} left",
    told: |bar, done, total| format!("{done} of {total} events, {:.0} events/s", bar.per_sec()),
};

/// Tells on standard error how far one piece of work is.
pub struct Meter {
    label: String,
    unit: Unit,
    bar: ProgressBar,
    /// When the last line was written; nothing on a terminal.
    told: Option<Mutex<Instant>>,
}

impl Meter {
    /// Begins to measure.
    pub fn new(label: impl Into<String>, unit: Unit) -> Self {
        let label = label.into();
        if !std::io::stderr().is_terminal() {
            let told = Some(Mutex::new(Instant::now()));
            return Self { label, unit, bar: ProgressBar::hidden(), told };
        }
        let bar = ProgressBar::no_length().with_prefix(label.clone());
        if let Ok(style) = ProgressStyle::with_template(unit.template) {
            bar.set_style(style);
        }
        Self { label, unit, bar, told: None }
    }

    /// The work has come so far.
    pub fn update(&self, done: u64, total: u64, message: String) {
        let begins = self.bar.length().is_none();
        self.bar.set_length(total);
        self.bar.set_position(done);
        if begins {
            // What was there when the work began does not count for the rate.
            self.bar.reset_eta();
        }
        self.bar.set_message(message);
        let Some(told) = &self.told else { return };
        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.elapsed() < LINE_EVERY {
            return;
        }
        *told = Instant::now();
        let (label, left) = (&self.label, HumanDuration(self.bar.eta()));
        let work = (self.unit.told)(&self.bar, done, total);
        output::notice(format_args!("{label}: {work}, {left} left"));
    }

    /// The work is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
