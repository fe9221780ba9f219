//! Hot aggregates: a command on one costs one append and no read, and nothing that is out of date
//! in memory ever shows.

use std::sync::Arc;

use kernel::cache::CacheOptions;
use kernel::execution::{Cause, Environment, ExecuteError, Executed};
use kernel::seams::new_id;
use uuid::Uuid;

use crate::door::{Command, DoorDecider, Doors, Refusal, ask, stream};
use crate::lamp::restored;

#[tokio::test]
async fn a_new_aggregate_and_every_command_after_cost_no_read() {
    let doors = Doors::new();
    let process = doors.process();
    let id = new_id();
    let cause = Cause::request(new_id(), "test");
    process.create::<DoorDecider>(id, Command::Open(id), &cause).await.unwrap();
    for revision in 1..=20 {
        let done = ask(&process, id, Command::Pass(1)).await.unwrap();
        assert_eq!(
            (done.revision, done.position, done.recorded),
            (Some(revision), revision + 1, true)
        );
    }
    assert_eq!(doors.reads(), (0, 0));
    // As another process sees it, who has to read it.
    assert_eq!(doors.process().load::<DoorDecider>(id).await.unwrap().state.passages, 20);
    assert_eq!(doors.reads(), (1, 21));
}

#[tokio::test]
async fn without_a_cache_every_command_reads() {
    let doors = Doors::new();
    let process = doors.process().with_cache(CacheOptions { aggregates: 0 });
    let id = new_id();
    for command in [Command::Open(id), Command::Pass(1), Command::Close] {
        ask(&process, id, command).await.unwrap();
    }
    assert_eq!(doors.reads(), (3, 3));
}

#[tokio::test]
async fn what_another_process_wrote_is_met_at_the_append_and_read_from_there_on() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    ask(&here, id, Command::Open(id)).await.unwrap();
    ask(&elsewhere, id, Command::Pass(3)).await.unwrap();
    doors.reads();
    let done = ask(&here, id, Command::Pass(1)).await.unwrap();
    assert_eq!(done.revision, Some(4));
    // The last event it knew, to see that it is there still, and the three after it.
    assert_eq!(doors.reads(), (1, 4));
    ask(&here, id, Command::Pass(1)).await.unwrap();
    assert_eq!(doors.reads(), (0, 0));
}

#[tokio::test]
async fn a_refusal_from_memory_is_decided_again_on_what_the_log_says() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    ask(&here, id, Command::Open(id)).await.unwrap();
    ask(&here, id, Command::Close).await.unwrap();
    ask(&elsewhere, id, Command::Open(id)).await.unwrap();
    // Here the door is closed still.
    assert!(ask(&here, id, Command::Pass(1)).await.unwrap().recorded);
    ask(&elsewhere, id, Command::Close).await.unwrap();
    doors.reads();
    let refused = ask(&here, id, Command::Open(id)).await;
    assert!(refused.is_ok_and(|done| done.recorded), "here the door was open still");
    let refused = ask(&here, id, Command::Open(id)).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::IsOpen))), "{refused:?}");
}

#[tokio::test]
async fn an_empty_decision_from_memory_is_made_again_on_what_the_log_says() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    ask(&here, id, Command::Open(id)).await.unwrap();
    ask(&here, id, Command::Close).await.unwrap();
    ask(&elsewhere, id, Command::Open(id)).await.unwrap();
    let closed = ask(&here, id, Command::Close).await.unwrap();
    assert_eq!((closed.recorded, closed.revision), (true, Some(3)));
    let closed = ask(&here, id, Command::Close).await.unwrap();
    assert_eq!((closed.recorded, closed.revision, closed.position), (false, Some(3), 4));
}

#[tokio::test]
async fn an_expected_revision_is_compared_with_the_log_before_it_is_unmet() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    let cause = || Cause::request(new_id(), "test");
    ask(&here, id, Command::Open(id)).await.unwrap();
    ask(&elsewhere, id, Command::Pass(1)).await.unwrap();
    // The caller saw the other process's answer; here revision 0 is in memory.
    let met = here.execute::<DoorDecider>(id, Command::Close, &cause(), Some(1.into())).await;
    assert_eq!(met.unwrap().revision, Some(2));
    ask(&elsewhere, id, Command::Open(id)).await.unwrap();
    // The caller saw what is in memory here, which is out of date.
    let unmet = here.execute::<DoorDecider>(id, Command::Close, &cause(), Some(2.into())).await;
    assert!(
        matches!(&unmet, Err(ExecuteError::RevisionMismatch { expected, actual: Some(3) })
            if *expected == 2.into()),
        "{unmet:?}"
    );
}

#[tokio::test]
async fn a_new_aggregate_that_is_there_already_is_found() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    ask(&elsewhere, id, Command::Open(id)).await.unwrap();
    let cause = Cause::request(new_id(), "test");
    let refused = here.create::<DoorDecider>(id, Command::Open(id), &cause).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::IsOpen))), "{refused:?}");
    ask(&elsewhere, id, Command::Close).await.unwrap();
    let opened = here.create::<DoorDecider>(id, Command::Open(id), &cause).await.unwrap();
    assert_eq!(opened.revision, Some(2));
}

#[tokio::test]
async fn a_repeated_cause_is_recognised_whatever_this_process_remembers() {
    let doors = Doors::new();
    let elsewhere = doors.process();
    let id = new_id();
    let recognised = |name| Cause::request(new_id(), "test").recognised_by(id, name);
    let (opening, passing) = (recognised("open"), recognised("pass"));
    let here = doors.process();
    here.execute::<DoorDecider>(id, Command::Open(id), &opening, None).await.unwrap();
    // What was done elsewhere meanwhile: nothing of it is in memory here.
    elsewhere.execute::<DoorDecider>(id, Command::Pass(2), &passing, None).await.unwrap();
    for (cause, command) in [
        // Its ids are in memory.
        (&opening, Command::Open(id)),
        // As it was decided before, and otherwise: more, less, and for another state.
        (&passing, Command::Pass(2)),
        (&passing, Command::Pass(3)),
        (&passing, Command::Pass(1)),
        (&passing, Command::Close),
    ] {
        // Each time as if the other process had just been faster.
        let here = doors.process();
        here.load::<DoorDecider>(id).await.unwrap();
        let done = here.carry_out::<DoorDecider>(id, command.clone(), cause, None).await.unwrap();
        assert!(!done.executed.recorded && done.events.is_empty(), "{command:?}");
        assert_eq!((done.executed.revision, done.executed.position), (Some(2), 3), "{command:?}");
    }
    // And as if it were faster only now: what is in memory here is out of date.
    let cause = recognised("more");
    let stale = [doors.process(), doors.process(), doors.process()];
    for process in &stale {
        process.load::<DoorDecider>(id).await.unwrap();
    }
    elsewhere.execute::<DoorDecider>(id, Command::Pass(1), &cause, None).await.unwrap();
    let commands = [Command::Pass(1), Command::Pass(2), Command::Open(id)];
    for (process, command) in stale.iter().zip(commands) {
        let done = process.execute::<DoorDecider>(id, command.clone(), &cause, None).await.unwrap();
        assert_eq!((done.recorded, done.revision), (false, Some(3)), "{command:?}");
    }
    assert_eq!(doors.length(id).await, 4);
}

#[tokio::test]
async fn what_another_decided_under_the_same_ids_is_never_taken_for_ones_own() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let id = new_id();
    ask(&here, id, Command::Open(id)).await.unwrap();
    let cause = Cause::request(new_id(), "test").recognised_by(id, "go");
    // The same ids, at the same revision, but another event.
    elsewhere.execute::<DoorDecider>(id, Command::Close, &cause, None).await.unwrap();
    let repeated = here.execute::<DoorDecider>(id, Command::Pass(1), &cause, None).await.unwrap();
    assert!(!repeated.recorded);
    let refused = ask(&here, id, Command::Pass(1)).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::IsClosed))), "{refused:?}");
}

#[tokio::test]
async fn an_old_repetition_in_a_long_stream_is_found_by_its_id() {
    let doors = Doors::new();
    let process = doors.process();
    let id = new_id();
    let cause = Cause::request(new_id(), "test").recognised_by(id, "once");
    process.execute::<DoorDecider>(id, Command::Open(id), &cause, None).await.unwrap();
    ask(&process, id, Command::Pass(600)).await.unwrap();
    doors.reads();
    // Refused if it were decided, done again if its id were forgotten.
    for command in [Command::Open(id), Command::Pass(1)] {
        let done = process.execute::<DoorDecider>(id, command, &cause, None).await.unwrap();
        assert_eq!((done.recorded, done.revision), (false, Some(600)));
        // The last event, to see whether others came, and the look-up by id.
        assert_eq!(doors.reads(), (2, 1));
    }
    // What is new needs no look-up: the append itself would meet its id.
    let other = Cause::request(new_id(), "test").recognised_by(id, "twice");
    process.execute::<DoorDecider>(id, Command::Pass(1), &other, None).await.unwrap();
    assert_eq!(doors.reads(), (0, 0));
}

/// Somebody closes one door, if it is open, and goes through another.
async fn leave(
    process: &Environment,
    (closed, passed): (Uuid, Uuid),
    cause: &Cause,
) -> Result<(Executed, Executed), ExecuteError<Refusal>> {
    let attempt = process.in_unit(cause, |work| {
        Box::pin(async move {
            let one = work.load::<DoorDecider>(closed).await?;
            let other = work.load::<DoorDecider>(passed).await?;
            work.decide(&one, &Command::Close, None).await?;
            work.also_decide(&other, Command::Pass(1)).await?;
            Ok((one, other))
        })
    });
    let ((one, other), committed) = attempt.await?;
    Ok((committed.executed(&one), committed.executed(&other)))
}

#[tokio::test]
async fn several_aggregates_are_decided_on_at_once_and_stay_hot() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let both = (new_id(), new_id());
    for id in [both.0, both.1] {
        ask(&here, id, Command::Open(id)).await.unwrap();
    }
    let cause = || Cause::request(new_id(), "test");
    doors.reads();
    let (one, other) = leave(&here, both, &cause()).await.unwrap();
    assert_eq!((one.revision, other.revision), (Some(1), Some(1)));
    assert_eq!((one.position, other.position), (4, 4), "everything is at or before it");
    let (one, other) = leave(&here, both, &cause()).await.unwrap();
    assert_eq!((one.recorded, one.revision), (false, Some(1)));
    assert_eq!((other.recorded, other.revision), (true, Some(2)));
    assert_eq!(doors.reads(), (0, 0));
    ask(&elsewhere, both.1, Command::Close).await.unwrap();
    let refused = leave(&here, both, &cause()).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::IsClosed))), "{refused:?}");
    assert_eq!((doors.length(both.0).await, doors.length(both.1).await), (2, 4));
}

#[tokio::test]
async fn a_repetition_is_recognised_though_only_another_aggregate_would_change_now() {
    let doors = Doors::new();
    let (here, elsewhere) = (doors.process(), doors.process());
    let both = (new_id(), new_id());
    for id in [both.0, both.1] {
        ask(&here, id, Command::Open(id)).await.unwrap();
    }
    ask(&here, both.0, Command::Close).await.unwrap();
    ask(&elsewhere, both.0, Command::Open(both.0)).await.unwrap();
    let cause = Cause::request(new_id(), "test").recognised_by(both.0, "leave");
    let (one, _) = leave(&elsewhere, both, &cause).await.unwrap();
    assert!(one.recorded);
    // In memory here the first door was never opened again; of the second one all is known.
    here.load::<DoorDecider>(both.1).await.unwrap();
    let (one, other) = leave(&here, both, &cause).await.unwrap();
    assert!(!one.recorded && !other.recorded);
    assert_eq!(doors.length(both.1).await, 2);
}

#[tokio::test]
async fn a_forgotten_aggregate_is_read_again() {
    let doors = Doors::new();
    let process = doors.process();
    let id = new_id();
    ask(&process, id, Command::Open(id)).await.unwrap();
    process.forget(&stream(id)).await.unwrap();
    doors.reads();
    ask(&process, id, Command::Pass(1)).await.unwrap();
    assert_eq!(doors.reads(), (1, 1));
    process.forget_memory();
    ask(&process, id, Command::Pass(1)).await.unwrap();
    assert_eq!(doors.reads(), (1, 2));
}

#[tokio::test]
async fn a_log_that_lost_its_last_events_is_not_believed_to_have_them() {
    let doors = Doors::new();
    let id = new_id();
    let before = doors.process();
    ask(&before, id, Command::Open(id)).await.unwrap();
    // A standby takes over that had not heard of the last event, and another one comes instead.
    let standby = Arc::new(restored(&before, 1).await);
    ask(&before, id, Command::Close).await.unwrap();
    ask(&doors.process_on(standby.clone()), id, Command::Pass(1)).await.unwrap();
    let mut after = before.clone();
    after.store = standby;
    let loaded = after.load::<DoorDecider>(id).await.unwrap();
    assert_eq!((loaded.revision, loaded.state.open, loaded.state.passages), (Some(1), true, 1));
}
