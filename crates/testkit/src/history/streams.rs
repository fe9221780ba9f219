//! Linearizability of each stream, from what clients saw alone.
//!
//! The search of Wing and Gong (*Testing and verifying concurrent objects*, 1993) with the memoisation
//! of Lowe (*Testing for linearizability*, 2017): go through calls and returns in order of time, let
//! each open call take effect if its response is right at that point, and undo the last one when a
//! return is reached whose call has not taken effect. A set of operations that led to a state once need
//! not be tried again.
//!
//! Linearizability is local (Herlihy and Wing, 1990): a history is linearizable if it is so for each
//! object. An append to several streams is more than that; [`super::in_log_order`] checks that it was
//! all or nothing.

use std::collections::{BTreeMap, HashSet};

use kernel::event::Revision;
use kernel::store::ExpectedRevision;
use uuid::Uuid;

use super::{Answer, Call, Moment, Operation, Seen, Violation, Write};

/// The ids of a stream's events.
type Stream = Vec<Uuid>;

/// The effect of one operation on one stream.
struct Step<'h> {
    called: Moment,
    /// `None` if it need not have taken effect.
    done_by: Option<Moment>,
    action: Action<'h>,
    /// A description, for messages.
    operation: String,
}

enum Action<'h> {
    Append { ids: &'h [Uuid], expected: ExpectedRevision, outcome: Outcome },
    Read { from: Revision, limit: usize, found: Vec<Uuid> },
    ReadLast { found: Option<Uuid> },
}

/// The result of an append, with the last revision if there is one.
#[derive(Clone, Copy)]
enum Outcome {
    Written(Revision),
    /// The events were written before; or the store lost the response of its first attempt, retried by
    /// itself, and found the events of that attempt.
    Repeated(Revision),
    Conflict(Option<Revision>),
    Mismatch,
}

/// Finds, for each stream, an order of the operations that is consistent with their times and makes
/// every response right. `log` is the log after all of them.
pub fn linearizable(history: &[Operation], log: &[Seen]) -> Result<(), Violation> {
    let mut streams: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    let mut at_last: BTreeMap<&str, Stream> = BTreeMap::new();
    for seen in log {
        at_last.entry(&seen.stream).or_default().push(seen.id);
        streams.entry(&seen.stream).or_default();
    }
    for operation in history {
        for (stream, action, must) in actions(operation, &at_last) {
            let step = Step {
                called: operation.called,
                done_by: must.then(|| operation.done_by()),
                action,
                operation: operation.to_string(),
            };
            streams.entry(stream).or_default().push(step);
        }
    }
    for (stream, mut steps) in streams {
        let found = at_last.get(stream).cloned().unwrap_or_default();
        steps.push(Step {
            called: Moment::MAX,
            done_by: Some(Moment::MAX),
            operation: format!("the stream in the end: {found:?}"),
            action: Action::Read { from: 0, limit: usize::MAX, found },
        });
        search(&steps).map_err(|(operation, after)| Violation::NotLinearizable {
            stream: stream.to_owned(),
            operation,
            after,
        })?;
    }
    Ok(())
}

/// Returns the effect of an operation on each stream, and whether it must have taken effect.
fn actions<'h>(
    operation: &'h Operation,
    at_last: &BTreeMap<&str, Stream>,
) -> Vec<(&'h str, Action<'h>, bool)> {
    let ids = |events: &[Seen]| events.iter().map(|seen| seen.id).collect::<Vec<_>>();
    match (&operation.call, operation.answer()) {
        (Call::Append(writes), answer) => {
            let outcomes = writes.iter().enumerate().filter_map(|(number, write)| {
                let outcome = match answer {
                    Answer::Appended { last, repeated: false } => {
                        Outcome::Written(last[number].revision)
                    }
                    Answer::Appended { last, repeated: true } => {
                        Outcome::Repeated(last[number].revision)
                    }
                    // It does not describe the other streams.
                    Answer::WrongRevision { stream, actual } if *stream == write.stream => {
                        Outcome::Conflict(*actual)
                    }
                    Answer::Mismatch if writes.len() == 1 => Outcome::Mismatch,
                    // It took effect if its events are in the final log: written events stay.
                    Answer::Unknown => {
                        let stream = at_last.get(write.stream.as_str())?;
                        Outcome::Written(last_revision(stream, &write.events)?)
                    }
                    _ => return None,
                };
                let must = *answer != Answer::Unknown;
                let Write { stream, expected, events } = write;
                let action = Action::Append { ids: events, expected: *expected, outcome };
                Some((stream.as_str(), action, must))
            });
            outcomes.collect()
        }
        (Call::ReadStream { stream, from, limit }, Answer::Events(events)) => {
            let (from, limit) = (*from, *limit);
            vec![(stream, Action::Read { from, limit, found: ids(events) }, true)]
        }
        (Call::ReadLast { stream }, Answer::Events(events)) => {
            vec![(stream, Action::ReadLast { found: ids(events).pop() }, true)]
        }
        _ => Vec::new(),
    }
}

/// Returns the place of events in a stream, all of them and in this order: the last one's revision.
fn last_revision(stream: &Stream, ids: &[Uuid]) -> Option<Revision> {
    let start = stream.iter().position(|id| Some(id) == ids.first())?;
    let end = start + ids.len();
    (stream.get(start..end)? == ids).then_some(end as Revision - 1)
}

impl Action<'_> {
    /// Returns the stream after it, if its response is right on the stream before it.
    fn on(&self, stream: &Stream) -> Option<Stream> {
        let last = (stream.len() as Revision).checked_sub(1);
        let right = match self {
            Self::Append { ids, expected, outcome } => {
                let fresh = !ids.iter().any(|id| stream.contains(id));
                match outcome {
                    Outcome::Repeated(revision) if !fresh => {
                        last_revision(stream, ids) == Some(*revision)
                    }
                    Outcome::Written(revision) | Outcome::Repeated(revision) => {
                        let grown: Stream = stream.iter().chain(*ids).copied().collect();
                        let right = fresh
                            && expected.is_met_by(last)
                            && *revision == grown.len() as Revision - 1;
                        return right.then_some(grown);
                    }
                    Outcome::Conflict(actual) => {
                        fresh && *actual == last && !expected.is_met_by(last)
                    }
                    Outcome::Mismatch => !fresh && last_revision(stream, ids).is_none(),
                }
            }
            Self::Read { from, limit, found } => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                stream.iter().skip(from).take(*limit).eq(found)
            }
            Self::ReadLast { found } => stream.last() == found.as_ref(),
        };
        right.then(|| stream.clone())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    // Before a return at the same time: in doubt, operations overlap.
    Call(usize),
    Return(usize),
}

/// Calls and returns in order of time, as a list from which entries can be removed and restored.
struct Entries {
    entries: Vec<Entry>,
    /// By index in `entries`; the index past the last one is before the first and after the last.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// By step: the indexes of its call and of its return.
    places: Vec<(usize, Option<usize>)>,
}

impl Entries {
    fn of(steps: &[Step<'_>]) -> Self {
        let calls = steps.iter().enumerate().map(|(step, one)| (one.called, Entry::Call(step)));
        let returns = steps
            .iter()
            .enumerate()
            .filter_map(|(step, one)| Some((one.done_by?, Entry::Return(step))));
        let mut entries: Vec<_> = calls.chain(returns).collect();
        entries.sort_unstable();
        let entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let mut places = vec![(0, None); steps.len()];
        for (place, entry) in entries.iter().enumerate() {
            match *entry {
                Entry::Call(step) => places[step].0 = place,
                Entry::Return(step) => places[step].1 = Some(place),
            }
        }
        let count = entries.len();
        Self {
            entries,
            next: (0..=count).map(|place| (place + 1) % (count + 1)).collect(),
            previous: (0..=count).map(|place| (place + count) % (count + 1)).collect(),
            places,
        }
    }

    fn first(&self) -> usize {
        self.next[self.entries.len()]
    }

    fn unlink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }

    fn take_out(&mut self, step: usize) {
        let (call, end) = self.places[step];
        self.unlink(call);
        end.into_iter().for_each(|end| self.unlink(end));
    }

    /// In the reverse order of removal, so that the links fit again.
    fn put_back(&mut self, step: usize) {
        let (call, end) = self.places[step];
        end.into_iter().for_each(|end| self.relink(end));
        self.relink(call);
    }
}

/// A set of steps.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Steps(Vec<u64>);

impl Steps {
    fn toggle(&mut self, step: usize) {
        self.0[step / 64] ^= 1 << (step % 64);
    }
}

/// Searches for an order. An error has the operation at which the longest attempt failed, and the last
/// one before it.
fn search(steps: &[Step<'_>]) -> Result<(), (String, String)> {
    let mut entries = Entries::of(steps);
    let mut stream = Stream::new();
    let mut done = Steps(vec![0; steps.len().div_ceil(64)]);
    let mut tried: HashSet<(Steps, Stream)> = HashSet::new();
    let mut order: Vec<(usize, Stream)> = Vec::new();
    let mut failed = (0, String::new(), String::new());
    let mut place = entries.first();
    loop {
        match entries.entries.get(place) {
            // The remaining operations need not have taken effect.
            None => return Ok(()),
            Some(Entry::Call(step)) => {
                let step = *step;
                done.toggle(step);
                let after = steps[step].action.on(&stream);
                let new = after.filter(|after| tried.insert((done.clone(), after.clone())));
                if let Some(after) = new {
                    order.push((step, std::mem::replace(&mut stream, after)));
                    entries.take_out(step);
                    place = entries.first();
                } else {
                    done.toggle(step);
                    place = entries.next[place];
                }
            }
            Some(Entry::Return(step)) => {
                if failed.1.is_empty() || order.len() > failed.0 {
                    let last = order.last().map(|(last, _)| &steps[*last].operation);
                    let after = last.map(|last| format!(", after\n  {last}")).unwrap_or_default();
                    failed = (order.len(), steps[*step].operation.clone(), after);
                }
                let Some((step, before)) = order.pop() else { return Err((failed.1, failed.2)) };
                stream = before;
                done.toggle(step);
                entries.put_back(step);
                place = entries.next[entries.places[step].0];
            }
        }
    }
}
