//! The whole log as one object: its positions are the order of all writes, and every response is right
//! for some lengths of the log. There must be a non-decreasing sequence of such lengths over time.

use std::collections::HashMap;

use kernel::event::{Position, Revision};
use uuid::Uuid;

use super::{Answer, Call, EventLocation, Moment, Operation, Seen, Violation};

/// The possible lengths of the log when an operation took effect, by its last position.
#[derive(Clone, Copy)]
struct Span {
    least: Position,
    /// The position with which the response would be wrong.
    wrong_at: Position,
    /// The minimum length of the log once the operation had taken effect.
    leaves: Position,
}

/// Checks a history, across all streams, against the final log.
pub fn in_log_order(history: &[Operation], log: &[Seen]) -> Result<(), Violation> {
    let log = Log::new(log)?;
    let wholes = log.wholes(history)?;
    let spans = history
        .iter()
        .map(|operation| {
            let span = log.span(operation);
            span.map_err(|why| Violation::Contradiction { operation: operation.to_string(), why })
        })
        .collect::<Result<Vec<_>, _>>()?;
    pass_through(history, &spans, &wholes)
}

/// Indexes of the final log.
struct Log<'l> {
    events: &'l [Seen],
    /// The positions of each stream's events, by revision.
    streams: HashMap<&'l str, Vec<Position>>,
    places: HashMap<(&'l str, Uuid), Position>,
}

impl<'l> Log<'l> {
    fn new(events: &'l [Seen]) -> Result<Self, Violation> {
        let mut streams: HashMap<&str, Vec<Position>> = HashMap::new();
        let mut places = HashMap::new();
        for (seen, position) in events.iter().zip(1..) {
            let stream = streams.entry(&seen.stream).or_default();
            let expected = EventLocation { position, revision: stream.len() as Revision };
            if seen.place != expected {
                return Err(Violation::NotDense(format!("expected {expected:?}, found {seen:?}")));
            }
            stream.push(position);
            if places.insert((seen.stream.as_str(), seen.id), position).is_some() {
                return Err(Violation::NotDense(format!("{seen:?} is there twice")));
            }
        }
        Ok(Self { events, streams, places })
    }

    /// Returns the position of an event of a stream, `Position::MAX` if there is none.
    fn position(&self, stream: &str, revision: Revision) -> Position {
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let revision = usize::try_from(revision).unwrap_or(usize::MAX);
        positions.get(revision).copied().unwrap_or(Position::MAX)
    }

    fn at(&self, position: Position) -> Option<&Seen> {
        self.events.get(usize::try_from(position.checked_sub(1)?).ok()?)
    }

    /// Returns, for each position, the end of the events written together with it: no reader may have
    /// seen a part of them. Fails if the log has a part of an append only, or an event without an
    /// append.
    fn wholes(&self, history: &[Operation]) -> Result<HashMap<Position, Position>, Violation> {
        let mut written = HashMap::new();
        let mut perhaps: HashMap<Position, Position> = HashMap::new();
        let mut parts = HashMap::new();
        for operation in history {
            let Call::Append(writes) = &operation.call else { continue };
            let asked = writes
                .iter()
                .flat_map(|write| write.events.iter().map(|id| (write.stream.as_str(), *id)));
            let found: Vec<_> = asked.map(|id| self.places.get(&id).copied()).collect();
            let there = found.iter().flatten().copied();
            let Some(end) = there.clone().max() else { continue };
            match operation.answer() {
                Answer::Appended { repeated: false, .. } => {
                    written.extend(there.map(|position| (position, end)));
                }
                // If a retry within the store found it, the first attempt may have written it.
                Answer::Unknown | Answer::Appended { .. } if found.iter().all(Option::is_some) => {
                    for position in there {
                        // It is unknown which of the two wrote it: then it may have come alone.
                        let whole = perhaps
                            .get(&position)
                            .map_or(end, |other| if *other == end { end } else { position });
                        perhaps.insert(position, whole);
                    }
                }
                // Right if other appends have written them: the same ids for something else.
                Answer::Unknown => parts.extend(there.map(|position| (position, operation))),
                _ => {}
            }
        }
        perhaps.extend(written);
        match (1..).zip(self.events).find(|(position, _)| !perhaps.contains_key(position)) {
            None => Ok(perhaps),
            Some((position, seen)) => Err(match parts.get(&position) {
                None => Violation::NotDense(format!("nobody wrote {seen:?}")),
                Some(operation) => Violation::Contradiction {
                    operation: operation.to_string(),
                    why: "only a part of it was written".to_owned(),
                },
            }),
        }
    }

    /// Returns the lengths of the log for which a response is right, or why it is wrong for all.
    fn span(&self, operation: &Operation) -> Result<Span, String> {
        match (&operation.call, operation.answer()) {
            (Call::Append(writes), Answer::Appended { last, repeated }) => {
                let mut positions = Vec::new();
                for (write, last) in writes.iter().zip(last) {
                    if self.position(&write.stream, last.revision) != last.position {
                        return Err("its last event stands elsewhere".to_owned());
                    }
                    let before = (last.revision + 1).checked_sub(write.events.len() as Revision);
                    let first = before.ok_or("its revision is too low")?;
                    for (id, revision) in write.events.iter().zip(first..) {
                        let position = self.position(&write.stream, revision);
                        if self.at(position).is_none_or(|seen| seen.id != *id) {
                            return Err(format!("{id} is not {}@{revision}", write.stream));
                        }
                        positions.push(position);
                    }
                }
                let first = positions.iter().copied().min().unwrap_or(1);
                let end = positions.iter().copied().max().unwrap_or(0);
                Ok(if *repeated {
                    Span { least: end, wrong_at: Position::MAX, leaves: end }
                } else {
                    Span { least: first - 1, wrong_at: first, leaves: end }
                })
            }
            (_, Answer::WrongRevision { stream, actual }) => {
                let least = actual.map_or(0, |actual| self.position(stream, actual));
                if least == Position::MAX {
                    return Err("the stream never had this revision".to_owned());
                }
                let next = actual.map_or(0, |actual| actual + 1);
                Ok(Span { least, wrong_at: self.position(stream, next), leaves: least })
            }
            (Call::ReadStream { stream, from, limit }, Answer::Events(events)) => {
                self.compare(events)?;
                let next = from + events.len() as Revision;
                if !events.iter().map(|seen| seen.place.revision).eq(*from..next)
                    || events.iter().any(|seen| seen.stream != *stream)
                    || events.len() > *limit
                {
                    return Err("these are not the events that were asked for".to_owned());
                }
                let full = events.len() == *limit;
                let wrong_at = if full { Position::MAX } else { self.position(stream, next) };
                let least = events.last().map_or(0, |last| last.place.position);
                Ok(Span { least, wrong_at, leaves: least })
            }
            (Call::ReadLast { stream }, Answer::Events(events)) => {
                self.compare(events)?;
                let last = events.last().map(|seen| seen.place);
                let wrong_at = self.position(stream, last.map_or(0, |last| last.revision + 1));
                let least = last.map_or(0, |last| last.position);
                Ok(Span { least, wrong_at, leaves: least })
            }
            (Call::ReadLog { after, limit }, Answer::Page { events, scanned_to }) => {
                self.compare(events)?;
                if !events.iter().map(|seen| seen.place.position).eq(after + 1..=*scanned_to)
                    || events.len() > *limit
                {
                    return Err("the page has a hole or is too long".to_owned());
                }
                let least = events.last().map_or(0, |last| last.place.position);
                // The progress of a read is what its store knows of the log so far.
                Ok(Span { least, wrong_at: Position::MAX, leaves: least })
            }
            _ => Ok(Span { least: 0, wrong_at: Position::MAX, leaves: 0 }),
        }
    }

    fn compare(&self, events: &[Seen]) -> Result<(), String> {
        let other = events.iter().find(|seen| self.at(seen.place.position) != Some(*seen));
        other.map_or(Ok(()), |seen| Err(format!("something else stands in the place of {seen:?}")))
    }
}

/// Assigns every operation the shortest log that its response, and everything known before its call,
/// allow. A shorter one is never worse for the others: if this fails, every choice fails.
fn pass_through(
    history: &[Operation],
    spans: &[Span],
    wholes: &HashMap<Position, Position>,
) -> Result<(), Violation> {
    // At the same time calls come before returns: in doubt, operations overlap.
    const CALL: u8 = 0;
    const RETURN: u8 = 1;
    let mut turns: Vec<(Moment, u8, usize)> = Vec::with_capacity(history.len() * 2);
    for (number, operation) in history.iter().enumerate() {
        turns.push((operation.called, CALL, number));
        turns.push((operation.done_by(), RETURN, number));
    }
    turns.sort_unstable();
    let mut known: Position = 0;
    let mut known_to_store: HashMap<u64, Position> = HashMap::new();
    let mut when_called = vec![(0, 0); history.len()];
    for (_, turn, number) in turns {
        let operation = &history[number];
        let in_store = known_to_store.entry(operation.store).or_default();
        if turn == CALL {
            when_called[number] = (known, *in_store);
            continue;
        }
        let Span { least, wrong_at, leaves } = spans[number];
        let (known_before, in_store_before) = when_called[number];
        let length = least.max(known_before);
        let length = wholes.get(&length).map_or(length, |end| *end);
        if length >= wrong_at {
            let operation = operation.to_string();
            return Err(Violation::WentBack { operation, seen: length, right_until: wrong_at });
        }
        known = known.max(length).max(leaves);
        match (&operation.call, operation.answer()) {
            (Call::ReadLog { after, .. }, Answer::Page { scanned_to, .. }) => {
                // A page without progress claims that the log ends there; a short page does not.
                if scanned_to == after && *after < in_store_before {
                    let operation = operation.to_string();
                    let why = format!("its store had known the log up to {in_store_before}");
                    return Err(Violation::Contradiction { operation, why });
                }
                *in_store = leaves.max(*in_store);
            }
            (_, Answer::Appended { repeated: false, .. }) => *in_store = leaves.max(*in_store),
            _ => {}
        }
    }
    Ok(())
}
