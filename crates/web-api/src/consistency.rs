//! Read-your-writes: waits until a read model includes the caller's position.

use std::fmt;

use kernel::event::Position;
use kernel::execution::Environment;
use kernel::projection::{Patience, Progress};
use uuid::Uuid;

use crate::problem::Problem;

/// The header with the position that a read must include: the `Bascule-Position` of a response.
pub const MIN_POSITION: &str = "Bascule-Min-Position";

/// A client's position in the log, as in `Bascule-Position` and [`MIN_POSITION`]: `<position>-<last
/// digits of the id of the event there>`. The id reveals that the log went back meanwhile, even if
/// another event has that position now. Without it, only the position counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    position: Position,
    event: Option<u32>,
}

impl Seen {
    pub(crate) fn new(position: Position, event_id: Option<Uuid>) -> Self {
        Self { position, event: event_id.map(end_of) }
    }

    /// Parses a position (digits only, within the range of a database) and the eight hexadecimal
    /// digits that may follow it.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (position, event) = match text.split_once('-') {
            Some((position, event)) => (position, Some(event)),
            None => (text, None),
        };
        let is_digits = position.bytes().all(|byte| byte.is_ascii_digit());
        let position = position.parse().ok().filter(|_| is_digits)?;
        let event = match event {
            Some(digits) if digits.len() == 8 && digits.bytes().all(is_hex) => {
                Some(u32::from_str_radix(digits, 16).ok()?)
            }
            Some(_) => return None,
            None => None,
        };
        (position <= i64::MAX.cast_unsigned()).then_some(Self { position, event })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(event) => write!(formatter, "{}-{event:08x}", self.position),
            None => write!(formatter, "{}", self.position),
        }
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Returns the last 32 bits of an id: they are random, while the first bits of a UUIDv7 are the
/// time.
#[allow(clippy::cast_possible_truncation, reason = "only the low 32 bits are needed")]
fn end_of(event_id: Uuid) -> u32 {
    event_id.as_u128() as u32
}

/// Waits until a read model includes `position`; 503 `stale-read` if that exceeds the time limit of
/// a request.
async fn reached(progress: &Progress, position: Position) -> Result<(), Problem> {
    if progress.reached(position, Patience::Request).await {
        return Ok(());
    }
    Err(Problem::stale_read(position))
}

/// Waits until a read model includes the current end of the log. For a command that would otherwise
/// be refused because the read model is behind.
pub async fn caught_up(environment: &Environment, progress: &Progress) -> Result<(), Problem> {
    let head = environment.store.head().await?;
    reached(progress, head).await
}

/// Waits for the requested position. Fails (412) if the log has not reached the position, or has
/// another event there: waiting would not help.
pub(crate) async fn reached_if_known(
    environment: &Environment,
    progress: &Progress,
    Seen { position, event }: Seen,
) -> Result<(), Problem> {
    if let Some(event) = event {
        let there = environment.store.event_id_at(position).await?;
        if there.is_some_and(|there| end_of(there) != event) {
            return Err(Problem::not_in_the_log(position));
        }
    }
    if progress.position() >= position {
        return Ok(());
    }
    let head = environment.store.head().await?;
    if position > head {
        return Err(Problem::beyond_the_log(position, head));
    }
    reached(progress, position).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_read_as_it_was_written() {
        let id = Uuid::from_u128(0x0190_c5a4_7c1b_7def_8a55_0f4a_0d3e_2b10);
        let seen = Seen::new(340, Some(id));
        assert_eq!(seen.to_string(), "340-0d3e2b10");
        assert_eq!(Seen::from_text("340-0d3e2b10"), Some(seen));
        assert_eq!(Seen::from_text("340"), Some(Seen::new(340, None)));
        assert_eq!(Seen::new(0, None).to_string(), "0");
        for malformed in
            ["", "-", "340-", "-0d3e2b10", "340-0d3e2b1", "340-+d3e2b10", "340-0D3E2B10"]
        {
            assert_eq!(Seen::from_text(malformed), None, "{malformed}");
        }
    }
}
