//! Results for people go to standard output, complaints to standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place of the program that prints"
)]

use std::io::Write as _;

/// Prints one line of a result. A reader that went away (`… | head`) ends the program quietly.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Tells people something beside the result.
pub fn notice(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Tells what went wrong, the causes behind it included.
pub fn complain(error: &anyhow::Error) {
    let broken_pipe = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    if !broken_pipe {
        eprintln!("bascule: {error:#}");
    }
}
