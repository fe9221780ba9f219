//! Read your writes: waiting until a read model shows what the caller knows of.

use std::fmt;

use kernel::event::Position;
use kernel::execution::Environment;
use kernel::projection::{Patience, Progress};
use uuid::Uuid;

use crate::problem::Problem;

/// The header in which a reader says what it must see: the `Bascule-Position` of an answer.
pub const MIN_POSITION: &str = "Bascule-Min-Position";

/// What a client has seen of the log, as it stands in `Bascule-Position` and [`MIN_POSITION`]:
/// `<position>-<end of the id of the event there>`. By the id a position of a log that went back since
/// is recognised, though another event stands there by now. Without it, the position alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    position: Position,
    event: Option<u32>,
}

impl Seen {
    pub(crate) fn new(position: Position, event_id: Option<Uuid>) -> Self {
        Self { position, event: event_id.map(end_of) }
    }

    /// Reads a position, digits only and no more than a database holds, and the eight hexadecimal
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

/// The last 32 bits of an id: random, where the first ones of a UUIDv7 are the time.
#[allow(clippy::cast_possible_truncation, reason = "the rest does not matter")]
fn end_of(event_id: Uuid) -> u32 {
    event_id.as_u128() as u32
}

/// Waits until a read model shows everything up to `position`; 503 `stale-read` when it takes
/// longer than a client waits for an answer.
async fn reached(progress: &Progress, position: Position) -> Result<(), Problem> {
    if progress.reached(position, Patience::Request).await {
        return Ok(());
    }
    Err(Problem::stale_read(position))
}

/// Waits until a read model shows everything that is in the log now. For a command that would
/// otherwise be refused because of it.
pub async fn caught_up(environment: &Environment, progress: &Progress) -> Result<(), Problem> {
    let head = environment.store.head().await?;
    reached(progress, head).await
}

/// Waits for what a reader asked for. Refused (412) is a position that the log has not reached itself,
/// or where it has another event: waiting would not help.
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
