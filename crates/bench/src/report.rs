//! The report of a measurement, as text or JSON.
#![allow(clippy::print_stderr, reason = "the only place of the program that prints")]

use std::io::Write as _;

use serde_json::json;

use crate::load::Measured;

pub fn print(workload: &str, as_json: bool, measured: &Measured) -> anyhow::Result<()> {
    let Measured { clients, events, elapsed, latencies, interrupted } = measured;
    let seconds = elapsed.as_secs_f64();
    let rate = *events as f64 / seconds;
    let times =
        [latencies.percentile_ms(0.5), latencies.percentile_ms(0.99), latencies.longest_ms()];
    let [p50, p99, longest] = times;
    if as_json {
        return line(json!({
            "seconds": rounded(seconds),
            "events": events,
            "events_per_s": rounded(rate),
            "p50_ms": p50.map(rounded),
            "p99_ms": p99.map(rounded),
            "longest_ms": longest.map(rounded),
            "interrupted": interrupted,
        }));
    }
    let [p50, p99, longest] =
        times.map(|time| time.map_or("-".to_owned(), |time| format!("{time:.2}")));
    line(format_args!(
        "{:<9} {:>7} {:>8} {:>10} {:>9} {:>8} {:>8} {:>10}",
        "workload", "clients", "seconds", "events", "events/s", "p50 ms", "p99 ms", "longest ms"
    ))?;
    line(format_args!(
        "{workload:<9} {clients:>7} {seconds:>8.1} {events:>10} {rate:>9.0} {p50:>8} {p99:>8} {longest:>10}{}",
        if *interrupted { "   interrupted" } else { "" },
    ))
}

fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints an error with its causes.
pub fn complain(error: &anyhow::Error) {
    eprintln!("bascule-bench: {error:#}");
}

/// Rounds to a thousandth: more digits would be noise.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
