//! The checkers accept what a store may do and catch what it may not: histories made by hand.

use kernel::store::ExpectedRevision::{self, Any, Exists, NoStream, Revision};
use testkit::history::{
    Answer, Call, EventLocation, Operation, Seen, Violation, Write, in_log_order, linearizable,
};
use uuid::Uuid;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn write(stream: &str, expected: ExpectedRevision, ids: &[u128]) -> Write {
    let events = ids.iter().copied().map(id).collect();
    Write { stream: stream.to_owned(), expected, events }
}

fn append(stream: &str, expected: ExpectedRevision, ids: &[u128]) -> Call {
    Call::Append(vec![write(stream, expected, ids)])
}

fn written(places: &[(u64, u64)]) -> Answer {
    let place = |(revision, position): &(u64, u64)| EventLocation {
        revision: *revision,
        position: *position,
    };
    Answer::Appended { last: places.iter().map(place).collect(), repeated: false }
}

fn repeated(revision: u64, position: u64) -> Answer {
    Answer::Appended { last: vec![EventLocation { revision, position }], repeated: true }
}

fn conflict(stream: &str, actual: Option<u64>) -> Answer {
    Answer::WrongRevision { stream: stream.to_owned(), actual }
}

fn read(stream: &str) -> Call {
    Call::ReadStream { stream: stream.to_owned(), from: 0, limit: 100 }
}

/// Events of streams named by one letter: the log, numbered from 1 and each stream from 0.
fn log(events: &[(&str, u128)]) -> Vec<Seen> {
    let seen = |(place, (stream, number)): (usize, &(&str, u128))| Seen {
        stream: (*stream).to_owned(),
        place: EventLocation {
            revision: events[..place].iter().filter(|one| one.0 == *stream).count() as u64,
            position: place as u64 + 1,
        },
        id: id(*number),
    };
    events.iter().enumerate().map(seen).collect()
}

fn of_stream(stream: &str, log: &[Seen]) -> Answer {
    Answer::Events(log.iter().filter(|seen| seen.stream == stream).cloned().collect())
}

/// An operation from one moment to another.
fn during(span: std::ops::Range<u64>, call: Call, answer: Answer) -> Operation {
    let answered = Some((span.end, answer));
    Operation { store: 0, client: span.start, called: span.start, call, answered }
}

fn never_answered(called: u64, call: Call) -> Operation {
    Operation { store: 0, client: called, called, call, answered: None }
}

fn check(history: &[Operation], log: &[Seen]) -> (Result<(), Violation>, Result<(), Violation>) {
    (linearizable(history, log), in_log_order(history, log))
}

#[track_caller]
fn accepted(history: &[Operation], log: &[Seen]) {
    assert_eq!(check(history, log), (Ok(()), Ok(())));
}

/// Both checkers catch it, each for itself.
#[track_caller]
fn caught(history: &[Operation], log: &[Seen]) {
    let (by_stream, by_log) = check(history, log);
    assert!(by_stream.is_err(), "stream by stream it passes; the log says {by_log:?}");
    assert!(by_log.is_err(), "the log passes; stream by stream it is {by_stream:?}");
}

/// What only the order of the whole log tells.
#[track_caller]
fn caught_by_the_log(history: &[Operation], log: &[Seen]) {
    let (by_stream, by_log) = check(history, log);
    assert_eq!(by_stream, Ok(()));
    assert!(by_log.is_err());
}

#[test]
fn what_a_store_may_do_is_accepted() {
    let end = log(&[("a", 1), ("a", 2), ("b", 3), ("a", 4)]);
    accepted(
        &[
            during(0..10, append("a", NoStream, &[1, 2]), written(&[(1, 2)])),
            during(11..20, read("a"), of_stream("a", &end[..2])),
            // Of two at once, one wins and the other is told so.
            during(21..40, append("a", Revision(1), &[4]), written(&[(2, 4)])),
            during(22..39, append("a", Revision(1), &[5]), conflict("a", Some(2))),
            // Overlapping with the append: not yet, and already.
            during(30..38, read("a"), of_stream("a", &end[..2])),
            during(31..37, read("a"), of_stream("a", &end)),
            during(23..45, append("b", Any, &[3]), written(&[(0, 3)])),
            during(50..60, append("a", NoStream, &[1, 2]), repeated(1, 2)),
            during(50..60, append("a", Any, &[1, 6]), Answer::Mismatch),
            during(50..60, append("c", Exists, &[7]), conflict("c", None)),
        ],
        &end,
    );
}

#[test]
fn a_store_may_find_what_its_own_lost_attempt_wrote() {
    let end = log(&[("a", 1), ("a", 2), ("a", 3)]);
    let before = during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)]));
    let found = |expected| during(20..30, append("a", expected, &[2, 3]), repeated(2, 3));
    let reads = |at: u64, log| during(at..at + 1, read("a"), of_stream("a", log));
    accepted(&[before.clone(), found(Revision(0)), reads(31, &end)], &end);
    // Not before it was asked for, and not against what was expected.
    for wrong in [
        [before.clone(), found(Revision(0)), reads(15, &end)],
        [before.clone(), found(NoStream), reads(31, &end)],
    ] {
        assert!(linearizable(&wrong, &end).is_err(), "{wrong:?}");
    }
    caught(&[before, found(Revision(0))], &end[..1]);
}

#[test]
fn an_unknown_outcome_may_and_may_not_have_happened() {
    let unknown = |call| during(0..10, call, Answer::Unknown);
    for gone in
        [unknown(append("a", NoStream, &[1])), never_answered(0, append("a", NoStream, &[1]))]
    {
        accepted(std::slice::from_ref(&gone), &[]);
        let end = log(&[("a", 1)]);
        // Long after it was given up.
        accepted(
            &[
                gone.clone(),
                during(20..30, read("a"), of_stream("a", &[])),
                during(40..50, read("a"), of_stream("a", &end)),
            ],
            &end,
        );
        // Once seen it stays.
        caught(
            &[
                gone,
                during(20..30, read("a"), of_stream("a", &end)),
                during(40..50, read("a"), of_stream("a", &[])),
            ],
            &end,
        );
    }
}

#[test]
fn a_lost_update_is_caught() {
    // Both were told that they are the first.
    let history = [
        during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
        during(5..15, append("a", NoStream, &[2]), written(&[(1, 2)])),
    ];
    let (by_stream, _) = check(&history, &log(&[("a", 1), ("a", 2)]));
    assert!(matches!(by_stream, Err(Violation::NotLinearizable { stream, .. }) if stream == "a"));
    // The second has overwritten the first.
    let history = [
        during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
        during(20..30, append("a", NoStream, &[2]), written(&[(0, 1)])),
    ];
    caught(&history, &log(&[("a", 2)]));
    // It was acknowledged and is gone.
    caught(&history[..1], &[]);
}

#[test]
fn a_stale_answer_is_caught() {
    let end = log(&[("a", 1), ("a", 2)]);
    let history = |call, answer| {
        [
            during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
            during(11..20, append("a", Revision(0), &[2]), written(&[(1, 2)])),
            during(21..30, call, answer),
        ]
    };
    let last = || Call::ReadLast { stream: "a".to_owned() };
    accepted(&history(append("a", Revision(7), &[3]), conflict("a", Some(1))), &end);
    caught(&history(append("a", Revision(7), &[3]), conflict("a", Some(0))), &end);
    caught(&history(append("a", Exists, &[3]), conflict("a", None)), &end);
    caught(&history(read("a"), of_stream("a", &end[..1])), &end);
    caught(&history(last(), Answer::Events(vec![end[0].clone()])), &end);
    caught(&history(last(), Answer::Events(vec![])), &end);
    // A conflict where there was none.
    let (by_stream, _) =
        check(&history(append("a", Revision(1), &[3]), conflict("a", Some(1))), &end);
    assert!(by_stream.is_err());
}

#[test]
fn an_answer_from_the_future_is_caught() {
    let end = log(&[("a", 1)]);
    caught(
        &[
            during(0..10, read("a"), of_stream("a", &end)),
            during(20..30, append("a", NoStream, &[1]), written(&[(0, 1)])),
        ],
        &end,
    );
}

#[test]
fn a_hole_in_the_log_is_caught() {
    let mut end = log(&[("a", 1), ("b", 2)]);
    end[1].place.position = 3;
    let history = [
        during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
        during(11..20, append("b", NoStream, &[2]), written(&[(0, 3)])),
    ];
    caught_by_the_log(&history, &end);
    let mut end = log(&[("a", 1), ("a", 2)]);
    end[1].place.revision = 2;
    let history = [during(0..10, append("a", NoStream, &[1, 2]), written(&[(2, 2)]))];
    caught(&history, &end);
}

#[test]
fn a_page_with_a_hole_is_caught() {
    let end = log(&[("a", 1), ("b", 2), ("c", 3)]);
    let page = |events: &[usize], scanned_to| Answer::Page {
        events: events.iter().map(|place| end[*place].clone()).collect(),
        scanned_to,
    };
    let history = |answer| {
        [
            during(0..90, append("a", NoStream, &[1]), written(&[(0, 1)])),
            during(0..90, append("b", NoStream, &[2]), written(&[(0, 2)])),
            during(0..90, append("c", NoStream, &[3]), written(&[(0, 3)])),
            during(10..20, Call::ReadLog { after: 0, limit: 10 }, answer),
        ]
    };
    accepted(&history(page(&[0, 1], 2)), &end);
    for (events, scanned_to) in [(&[0, 2][..], 3), (&[1, 2], 3), (&[0, 1], 3), (&[1, 0], 2)] {
        caught_by_the_log(&history(page(events, scanned_to)), &end);
    }
}

#[test]
fn a_position_seen_before_the_one_below_it_is_caught() {
    // Both appends take long: for each stream by itself nothing is wrong.
    let end = log(&[("a", 1), ("b", 2)]);
    let history = |second: Operation| {
        [
            during(0..90, append("a", NoStream, &[1]), written(&[(0, 1)])),
            during(0..90, append("b", NoStream, &[2]), written(&[(0, 2)])),
            during(10..20, read("b"), of_stream("b", &end)),
            second,
        ]
    };
    accepted(&history(during(15..40, read("a"), of_stream("a", &[]))), &end);
    let late = during(30..40, read("a"), of_stream("a", &[]));
    caught_by_the_log(&history(late.clone()), &end);
    assert!(matches!(in_log_order(&history(late), &end), Err(Violation::WentBack { .. })));
    caught_by_the_log(
        &history(during(30..40, append("a", Exists, &[9]), conflict("a", None))),
        &end,
    );
}

#[test]
fn positions_against_the_order_of_time_are_caught() {
    // The one that was over before the other began stands behind it.
    let end = log(&[("b", 2), ("a", 1)]);
    let history = [
        during(0..10, append("a", NoStream, &[1]), written(&[(0, 2)])),
        during(20..30, append("b", NoStream, &[2]), written(&[(0, 1)])),
    ];
    caught_by_the_log(&history, &end);
}

#[test]
fn what_was_refused_and_what_nobody_wrote_must_not_be_there() {
    let end = log(&[("a", 1)]);
    let call = || append("a", NoStream, &[1]);
    caught(&[during(0..10, call(), Answer::Refused)], &end);
    caught(&[during(0..10, call(), conflict("a", Some(0)))], &end);
    caught(&[], &end);
}

#[test]
fn a_repetition_that_was_written_again_is_caught() {
    let end = log(&[("a", 1), ("a", 1)]);
    let history = [
        during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
        during(20..30, append("a", NoStream, &[1]), written(&[(1, 2)])),
    ];
    caught(&history, &end);
}

#[test]
fn a_part_of_an_append_is_caught() {
    let both = || Call::Append(vec![write("a", NoStream, &[1]), write("b", NoStream, &[2])]);
    // Written in part, which only an unknown outcome can hide.
    caught_by_the_log(&[during(0..10, both(), Answer::Unknown)], &log(&[("a", 1)]));
    // What another append has written is no part of this one.
    accepted(
        &[
            during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])),
            during(20..30, append("a", Any, &[1, 2]), Answer::Unknown),
        ],
        &log(&[("a", 1)]),
    );
    // Seen in part.
    let end = log(&[("a", 1), ("b", 2)]);
    let history = |second: Operation| {
        [
            during(0..90, both(), written(&[(0, 1), (0, 2)])),
            during(10..20, read("a"), of_stream("a", &end)),
            second,
        ]
    };
    accepted(&history(during(30..40, read("b"), of_stream("b", &end))), &end);
    caught_by_the_log(&history(during(30..40, read("b"), of_stream("b", &[]))), &end);
}

#[test]
fn a_store_that_forgets_how_far_the_log_reaches_is_caught() {
    let end = log(&[("a", 1)]);
    let empty = || Answer::Page { events: vec![], scanned_to: 0 };
    let log_read = || Call::ReadLog { after: 0, limit: 10 };
    let history = |store| {
        let late = Operation { store, ..during(20..30, log_read(), empty()) };
        [during(0..10, append("a", NoStream, &[1]), written(&[(0, 1)])), late]
    };
    caught_by_the_log(&history(0), &end);
    // Another one may not have heard of it yet.
    accepted(&history(1), &end);
}
