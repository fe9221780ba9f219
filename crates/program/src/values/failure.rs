//! Exit codes: 0 success, 1 failure, 2 wrong usage.

use std::process::ExitCode;

/// Exit code of a failed command.
pub const FAILED: u8 = 1;
/// Exit code of a command that is used wrongly.
const USAGE: u8 = 2;

/// Error of a well-formed command that is used wrongly, for example with an unknown name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// Returns the exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Misused>() { USAGE } else { FAILED })
}
