//! The limit of file descriptors. A server needs one per connection and several per database; errors
//! caused by a lack of them seldom name that cause.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Minimum number of descriptors for a command that opens the store. An idle server on SQLite has about
/// a hundred open; requests and database connections add to that.
pub const NEEDED: u64 = 256;

/// Raises the soft limit of this process to its hard limit. Returns the new limit, or `None` if it is
/// unlimited.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    // Some systems refuse this because their own bound is lower; the limit then stays unchanged.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Fails if the limit is below [`NEEDED`].
pub fn expect_enough(limit: Option<u64>) -> anyhow::Result<()> {
    let Some(limit) = limit.filter(|limit| *limit < NEEDED) else { return Ok(()) };
    anyhow::bail!(
        "this process may open only {limit} files and connections, and needs at least {NEEDED}: \
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
