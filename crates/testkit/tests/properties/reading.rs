//! Every read of a log returns what a plain list of its events contains: filters, pages, positions and
//! revisions beyond every end.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName, family};
use kernel::store::{AppendRequest, EventStore, ExpectedRevision};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use testkit::contract::event_with_id;
use testkit::stores::TestStore;
use uuid::Uuid;

use crate::holds;

const STREAMS: &[&str] = &["a-1", "a-10", "A-1", "rue-de l’Église/№ 5", "%"];
/// Versions of one family, families that begin or end alike, and a type without a version.
const TYPES: &[&str] = &[
    "sales.Placed.v1",
    "sales.Placed.v2",
    "sales.Placed.v12",
    "sales.Placed2.v1",
    "sales.Placed.v.v1",
    "sales.placed.v1",
    "sale.Placed.v1",
    "sales.Sha256.v1",
    "v1",
    "plain",
];
const CORRELATIONS: u128 = 3;

/// One append: a stream, and of each event its type and correlation.
type Appending = (&'static str, Vec<(&'static str, u128)>);

fn log() -> impl Strategy<Value = Vec<Appending>> {
    let event = (select(TYPES), 0..CORRELATIONS);
    vec((select(STREAMS), vec(event, 1..4)), 0..25)
}

#[derive(Debug, Clone)]
enum Question {
    Stream { stream: &'static str, from: u64, limit: usize },
    Last { stream: &'static str },
    Find { stream: &'static str, event: Index },
    Log { after: u64, families: Option<Vec<&'static str>>, limit: usize },
    Correlation { of: u128, after: u64, limit: usize },
    IdAt { position: u64 },
}

/// Within the log, right behind it, and where signed numbers end.
fn place() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => 0..80_u64,
        1 => Just(i64::MAX as u64),
        1 => Just(i64::MAX as u64 + 1),
        1 => Just(u64::MAX),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![10 => 1..12_usize, 1 => Just(usize::MAX)]
}

fn question() -> impl Strategy<Value = Question> {
    let stream = || prop_oneof![10 => select(STREAMS), 1 => Just("none")];
    let families: Vec<&str> = TYPES.iter().filter_map(|one| family(one)).chain(["none"]).collect();
    let count = families.len();
    let families = proptest::option::weighted(0.8, subsequence(families, 0..count));
    prop_oneof![
        (stream(), place(), limit()).prop_map(|(stream, from, limit)| Question::Stream {
            stream,
            from,
            limit
        }),
        stream().prop_map(|stream| Question::Last { stream }),
        (stream(), any::<Index>()).prop_map(|(stream, event)| Question::Find { stream, event }),
        (place(), families, limit()).prop_map(|(after, families, limit)| Question::Log {
            after,
            families,
            limit
        }),
        (0..=CORRELATIONS, place(), limit()).prop_map(|(of, after, limit)| Question::Correlation {
            of,
            after,
            limit
        }),
        place().prop_map(|position| Question::IdAt { position }),
    ]
}

/// What a list of all events says.
#[derive(Default)]
struct Model {
    events: Vec<Known>,
    revisions: HashMap<&'static str, Revision>,
}

struct Known {
    position: Position,
    stream: &'static str,
    revision: Revision,
    id: Uuid,
    event_type: &'static str,
    correlation: Uuid,
}

fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

impl Model {
    async fn append(&mut self, store: &Arc<dyn EventStore>, (stream, events): Appending) {
        let mut written = Vec::new();
        for (event_type, correlation) in events {
            let next = self.revisions.entry(stream).or_insert(0);
            let known = Known {
                position: self.events.len() as Position + 1,
                stream,
                revision: *next,
                id: kernel::seams::new_id(),
                event_type,
                correlation: Uuid::from_u128(correlation),
            };
            *next += 1;
            let mut event = event_with_id(known.id, known.correlation);
            event.event_type = event_type.into();
            written.push(event);
            self.events.push(known);
        }
        let request = AppendRequest {
            stream: name(stream),
            expected: ExpectedRevision::Any,
            events: written,
        };
        store.append(request).await.unwrap();
    }

    /// Events that fit, as many as are wanted.
    fn first(&self, limit: usize, fits: impl Fn(&Known) -> bool) -> Vec<Position> {
        let fitting = self.events.iter().filter(|known| fits(known)).take(limit);
        fitting.map(|known| known.position).collect()
    }

    fn of_stream(&self, stream: &str) -> impl DoubleEndedIterator<Item = &Known> {
        self.events.iter().filter(move |known| known.stream == stream)
    }

    /// That these are the events at these positions, in this order and unchanged.
    fn compare(&self, found: &[Arc<RecordedEvent>], expected: &[Position]) {
        assert_eq!(found.iter().map(|event| event.position).collect::<Vec<_>>(), expected);
        for event in found {
            let known = &self.events[usize::try_from(event.position).unwrap() - 1];
            assert_eq!((event.stream.as_str(), event.revision), (known.stream, known.revision));
            assert_eq!((event.id, &*event.event_type), (known.id, known.event_type));
            assert_eq!(event.metadata.correlation_id, known.correlation);
        }
    }

    async fn ask(&self, store: &Arc<dyn EventStore>, question: &Question) {
        match question {
            Question::Stream { stream, from, limit } => {
                let found = store.read_stream(&name(stream), *from, *limit).await.unwrap();
                let fits = |known: &Known| known.stream == *stream && known.revision >= *from;
                self.compare(&found, &self.first(*limit, fits));
            }
            Question::Last { stream } => {
                let found = store.read_last(&name(stream)).await.unwrap();
                let last = self.of_stream(stream).next_back().map(|known| known.position);
                self.compare(&Vec::from_iter(found), &Vec::from_iter(last));
            }
            Question::Find { stream, event } => {
                let Some(known) = (!self.events.is_empty()).then(|| event.get(&self.events)) else {
                    return;
                };
                let found = store.find_in_stream(&name(stream), known.id).await.unwrap();
                let found = found.map(|place| (place.revision, place.position));
                let expected =
                    (known.stream == *stream).then_some((known.revision, known.position));
                assert_eq!(found, expected);
            }
            Question::Log { after, families, limit } => {
                self.ask_for_log(store, *after, families.as_deref(), *limit).await;
            }
            Question::Correlation { of, after, limit } => {
                let of = Uuid::from_u128(*of);
                let found = store.read_correlation(of, *after, *limit).await.unwrap();
                let fits = |known: &Known| known.correlation == of && known.position > *after;
                self.compare(&found, &self.first(*limit, fits));
            }
            Question::IdAt { position } => {
                let found = store.event_id_at(*position).await.unwrap();
                let known = self.events.iter().find(|known| known.position == *position);
                assert_eq!(found, known.map(|known| known.id));
            }
        }
    }

    /// All pages from a position on.
    async fn ask_for_log(
        &self,
        store: &Arc<dyn EventStore>,
        from: Position,
        families: Option<&[&'static str]>,
        limit: usize,
    ) {
        let filter = families.map_or_else(EventFilter::all, |families| {
            EventFilter::families(families.iter().copied())
        });
        let wanted = |event_type: &str| {
            families.is_none_or(|families| {
                family(event_type).is_some_and(|family| families.contains(&family))
            })
        };
        let head = self.events.len() as Position;
        let mut after = from;
        loop {
            let page = store.read_log(after, &filter, limit).await.unwrap();
            assert!(page.events.len() <= limit);
            let fits = |known: &Known| {
                known.position > after
                    && known.position <= page.scanned_to
                    && wanted(known.event_type)
            };
            self.compare(&page.events, &self.first(usize::MAX, fits));
            if after >= head {
                assert_eq!(page.scanned_to, after);
                return;
            }
            assert!(after < page.scanned_to && page.scanned_to <= head, "no progress");
            after = page.scanned_to;
        }
    }
}

fn answers_like_a_list(cases: u32, fresh: impl AsyncFn() -> TestStore) {
    holds(cases, (log(), vec(question(), 1..20)), async |(log, questions)| {
        let test = fresh().await;
        let mut model = Model::default();
        for appending in log {
            model.append(&test.store, appending).await;
        }
        for question in &questions {
            model.ask(&test.store, question).await;
        }
        // From the database, and not from what the writer still has in memory.
        let test = test.restarted().await;
        for question in &questions {
            model.ask(&test.store, question).await;
        }
    });
}

#[test]
fn memory() {
    answers_like_a_list(200, TestStore::memory);
}

#[test]
fn sqlite() {
    answers_like_a_list(40, TestStore::sqlite);
}

#[test]
fn postgres() {
    answers_like_a_list(4, TestStore::postgres);
}
