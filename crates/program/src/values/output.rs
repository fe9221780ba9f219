//! Output of the commands: results go to standard output, notices and errors to standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place of the program that prints"
)]

use std::io::Write as _;

/// Prints one line of a result. A closed pipe (`… | head`) ends the program without an error message.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints a notice to standard error.
pub fn notice(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Prints an error and its causes to standard error.
pub fn complain(error: &anyhow::Error) {
    let broken_pipe = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    if !broken_pipe {
        eprintln!("bascule: {error:#}");
    }
}
