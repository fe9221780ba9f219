//! File descriptors: a server needs one for every connection and several for every database, and
//! what fails for lack of one says many things, but seldom that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewest descriptors with which a command that opens the store begins. Idle on SQLite a server has
/// about a hundred open; requests, and connections to databases, come on top.
pub const NEEDED: u64 = 256;

/// Raises the limit of this process as far as it may itself. The limit then; `None` when there is
/// none.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    // Refused where the system's own bound is lower; then it stays as it is.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Fails where there are too few descriptors to work with.
pub fn expect_enough(limit: Option<u64>) -> anyhow::Result<()> {
    let Some(limit) = limit.filter(|limit| *limit < NEEDED) else { return Ok(()) };
    anyhow::bail!(
        "this process may open {limit} files and connections at once, and needs {NEEDED} at least: \
         raise the hard limit (`ulimit -Hn`, `LimitNOFILE=` of systemd, `--ulimit nofile=` of Docker)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_named_with_what_is_needed() {
        let error = expect_enough(Some(64)).unwrap_err().to_string();
        assert!(error.contains("64") && error.contains("256"), "{error}");
        assert!(expect_enough(Some(NEEDED)).is_ok());
        assert!(expect_enough(None).is_ok());
    }
}
