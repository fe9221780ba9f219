//! Linearizability of each stream, from what clients saw alone.
//!
//! The search of Wing and Gong (*Testing and verifying concurrent objects*, 1993) with the
//! memory of Lowe (*Testing for linearizability*, 2017): go through calls and returns in the order
//! of time, let each call that is open take effect if its answer is right at that point, and take
//! the last one back when a return is reached whose call had no effect yet. A set of operations
//! that led to a state once need not be tried again.
//!
//! Linearizability is local (Herlihy and Wing, 1990): a history is linearizable if it is so for
//! each object. An append to several streams is more than that; that it was all or nothing is for
//! [`super::in_log_order`] to say.

use std::collections::{BTreeMap, HashSet};

use kernel::event::Revision;
use kernel::store::ExpectedRevision;
use uuid::Uuid;

use super::{Answer, Call, Moment, Operation, Seen, Violation, Write};

/// The ids of a stream's events.
type Stream = Vec<Uuid>;

/// What one operation did to one stream.
struct Step<'h> {
    called: Moment,
    /// `None` when it need not have happened.
    done_by: Option<Moment>,
    action: Action<'h>,
    /// For people.
    operation: String,
}

enum Action<'h> {
    Append { ids: &'h [Uuid], expected: ExpectedRevision, outcome: Outcome },
    Read { from: Revision, limit: usize, found: Vec<Uuid> },
    ReadLast { found: Option<Uuid> },
}

/// How an append ended, by the last revision where there is one.
#[derive(Clone, Copy)]
enum Outcome {
    Written(Revision),
    /// The events stood there before; or the store lost the answer of its first attempt, tried again
    /// by itself, and found what it had written.
    Repeated(Revision),
    Conflict(Option<Revision>),
    Mismatch,
}

/// Finds, for each stream, an order of the operations that agrees with their times and makes every
/// answer right. `log` is the log after them all.
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

/// What an operation did to each stream, and whether it must have done it.
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
                    // Of the other streams it says nothing.
                    Answer::WrongRevision { stream, actual } if *stream == write.stream => {
                        Outcome::Conflict(*actual)
                    }
                    Answer::Mismatch if writes.len() == 1 => Outcome::Mismatch,
                    // It happened if its events are there in the end: what was written stays.
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

/// Where events stand in a stream, all of them and in this order: the last one's revision.
fn last_revision(stream: &Stream, ids: &[Uuid]) -> Option<Revision> {
    let start = stream.iter().position(|id| Some(id) == ids.first())?;
    let end = start + ids.len();
    (stream.get(start..end)? == ids).then_some(end as Revision - 1)
}

impl Action<'_> {
    /// The stream after it, if its answer is right on the stream before it.
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
    // Before a return of the same moment: whoever is in doubt overlaps.
    Call(usize),
    Return(usize),
}

/// Calls and returns in the order of time, as a list that entries can leave and come back to.
struct Entries {
    entries: Vec<Entry>,
    /// By place in `entries`; the one past the last is before the first and after the last.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// By step: the places of its call and of its return.
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

    /// In the opposite order of taking out, so that the links fit again.
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

/// Looks for an order. An error tells the operation at which the longest attempt failed, and the
/// one it had come to.
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
            // What is left need not have happened.
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
