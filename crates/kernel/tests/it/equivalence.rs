//! Whatever is in memory, and however processes interleave: what is in the log and what each
//! command answered is what some order of the commands, one after the other, would have given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use kernel::cache::CacheOptions;
use kernel::codec::EventSet as _;
use kernel::decider::{Context, Decider as _};
use kernel::decorator::Decorator;
use kernel::event::{RecordedEvent, Revision, StreamName};
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, ReadError};
use proptest::prelude::*;
use uuid::Uuid;

use crate::door::{Command, Door, DoorDecider, DoorEvent, Doors, Outcome, Refusal, stream};

/// A store at which callers wait: so many turns before an operation, so many after it.
struct Waiting {
    inner: Arc<dyn EventStore>,
    turns: Mutex<VecDeque<u8>>,
}

impl Waiting {
    async fn wait(&self) {
        let turns = {
            let mut all = self.turns.lock().unwrap();
            let next = all.pop_front().unwrap_or_default();
            all.push_back(next);
            next
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
}

impl Decorator for Waiting {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        self.wait().await;
        let appended = self.inner.append_many(requests).await;
        self.wait().await;
        appended
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.wait().await;
        let events = self.inner.read_stream(stream, from, limit).await;
        self.wait().await;
        events
    }
}

/// What somebody asks of a process.
#[derive(Debug, Clone)]
struct Request {
    door: usize,
    command: Command,
    /// Asked under the same cause as others of this number.
    repetition_of: Option<u8>,
    /// The revision it expects, counted back from the last one.
    expects: Option<u64>,
}

/// What came of it, and how long the stream was before and after.
struct Answered {
    door: usize,
    command: Command,
    cause: Option<Uuid>,
    expected: Option<Revision>,
    outcome: Outcome,
    before: usize,
    after: usize,
}

const DOORS: usize = 2;

fn request() -> impl Strategy<Value = Request> {
    let command = prop_oneof![
        2 => Just(Command::Open(Uuid::nil())),
        3 => (1..3_usize).prop_map(Command::Pass),
        2 => Just(Command::Close),
    ];
    let expects = proptest::option::weighted(0.2, 0..2_u64);
    let repetition_of = proptest::option::weighted(0.3, 0..3_u8);
    (0..DOORS, command, repetition_of, expects).prop_map(
        |(door, command, repetition_of, expects)| Request { door, command, repetition_of, expects },
    )
}

/// Who asks a process for what, one after the other; and whether it keeps anything in memory.
fn callers() -> impl Strategy<Value = Vec<(usize, Vec<Request>)>> {
    let requests = proptest::collection::vec(request(), 1..8);
    proptest::collection::vec((0..3_usize, requests), 1..5)
}

async fn run(
    doors: &Doors,
    turns: Vec<u8>,
    caches: [bool; 3],
    callers: Vec<(usize, Vec<Request>)>,
    ids: [Uuid; DOORS],
) -> Vec<Answered> {
    let store = Arc::new(Waiting { inner: doors.store.clone(), turns: Mutex::new(turns.into()) });
    let processes = caches.map(|cached| {
        let aggregates = if cached { CacheOptions::default().aggregates } else { 0 };
        doors.process_on(store.clone()).with_cache(CacheOptions { aggregates })
    });
    let mut tasks = tokio::task::JoinSet::new();
    for (process, requests) in callers {
        let (process, doors) = (processes[process].clone(), doors.clone());
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for request in requests {
                let id = ids[request.door];
                answers.push(answer(&process, id, request, &doors).await);
            }
            answers
        });
    }
    let mut answered = Vec::new();
    while let Some(answers) = tasks.join_next().await {
        answered.extend(answers.unwrap());
    }
    answered
}

async fn answer(process: &Environment, id: Uuid, request: Request, doors: &Doors) -> Answered {
    let Request { door, command, repetition_of, expects } = request;
    let mut cause = Cause::request(new_id(), "test");
    let mut first_event = None;
    if let Some(number) = repetition_of {
        // The kernel's own rule: UUIDv5(seed, name/stream/index).
        let name = format!("{number}");
        let stream = StreamName::of(DoorDecider::<1>::CATEGORY, id);
        first_event = Some(Uuid::new_v5(&id, format!("{name}/{stream}/0").as_bytes()));
        cause = cause.recognised_by(id, name);
    }
    let before = doors.length(id).await;
    let expected = expects.and_then(|back| (before as u64).checked_sub(back + 1));
    let asked = command.clone();
    let outcome = process.execute::<DoorDecider>(id, asked, &cause, expected.map(Into::into)).await;
    let after = doors.length(id).await;
    Answered { door, command, cause: first_event, expected, outcome, before, after }
}

/// The door after each of its first events: as many as there are events, and one.
fn states(events: &[DoorEvent]) -> Vec<Door> {
    let mut states = vec![Door::default()];
    for event in events {
        let next = DoorDecider::<1>::evolve(states.last().unwrap().clone(), event);
        states.push(next);
    }
    states
}

fn decide(state: &Door, command: &Command) -> Result<Vec<&'static str>, Refusal> {
    let context = Context { now: SystemClock.now() };
    let events = DoorDecider::<1>::decide(state, command.clone(), &context)?;
    Ok(events.iter().map(DoorEvent::event_type).collect())
}

/// Whether the answer is right for the stream as it was at some moment while it was worked out.
fn is_explained(answered: &Answered, recorded: &[Arc<RecordedEvent>], states: &[Door]) -> bool {
    let Answered { command, cause, expected, before, after, .. } = answered;
    let is_expected = |length: usize| {
        expected.is_none_or(|expected| (length as u64).checked_sub(1) == Some(expected))
    };
    let mut moments = *before..=*after;
    match &answered.outcome {
        Ok(done) if done.recorded => {
            let end = done.revision.unwrap() as usize + 1;
            (*before..end).any(|length| {
                let types = recorded[length..end].iter().map(|event| event.event_type.as_str());
                is_expected(length)
                    && decide(&states[length], command).is_ok_and(|events| types.eq(events))
            })
        }
        Ok(done) => {
            let revision = done.revision.map_or(0, |revision| revision as usize + 1);
            moments.any(|length| {
                let was_done = || {
                    recorded[..length].iter().any(|event| cause.is_some_and(|id| event.id == id))
                };
                let is_empty = || {
                    is_expected(length)
                        && decide(&states[length], command).is_ok_and(|events| events.is_empty())
                };
                revision == length && (was_done() || is_empty())
            })
        }
        Err(ExecuteError::Refused(refusal)) => moments.any(|length| {
            is_expected(length) && decide(&states[length], command).as_ref() == Err(refusal)
        }),
        Err(ExecuteError::RevisionMismatch { actual, .. }) => {
            moments.any(|length| !is_expected(length) && (length as u64).checked_sub(1) == *actual)
        }
        Err(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn answers_and_log_are_those_of_one_command_after_the_other(
        turns in proptest::collection::vec(0..4_u8, 1..12),
        caches in any::<[bool; 3]>(),
        callers in callers(),
    ) {
        // Time passes at once where all wait: retries pause between their tries.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let doors = Doors::new();
            let ids = std::array::from_fn(|_| new_id());
            let answered = run(&doors, turns, caches, callers, ids).await;
            let reader = doors.process();
            for (door, id) in ids.into_iter().enumerate() {
                let recorded = doors.store.read_stream(&stream(id), 0, usize::MAX).await.unwrap();
                let mut events = Vec::new();
                for event in &recorded {
                    let event = Arc::clone(event);
                    events.push(reader.codec.decode::<DoorEvent>(event).await.unwrap().event);
                }
                let states = states(&events);
                let mut written = 0;
                for answered in answered.iter().filter(|answered| answered.door == door) {
                    prop_assert!(
                        is_explained(answered, &recorded, &states),
                        "{:?} expecting {:?} answered {:?} while {} to {} of {:?} were there",
                        answered.command,
                        answered.expected,
                        answered.outcome,
                        answered.before,
                        answered.after,
                        recorded.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(),
                    );
                    if answered.outcome.as_ref().is_ok_and(|done| done.recorded) {
                        written += match answered.command {
                            Command::Pass(times) => times,
                            _ => 1,
                        };
                    }
                }
                prop_assert_eq!(written, recorded.len(), "every event is somebody's, once");
            }
            Ok(())
        })?;
    }
}
