//! Exit codes: 0 done, 1 the work failed, 2 usage.

use std::process::ExitCode;

/// The work failed.
pub const FAILED: u8 = 1;
/// The command cannot be understood.
const USAGE: u8 = 2;

/// A command that is well-formed and names something that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// Returns the exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Misused>() { USAGE } else { FAILED })
}
