//! Snapshots: a long stream is read from its last one on, and none is believed that is not of this
//! log, of this schema and whole.

use std::sync::Arc;

use async_trait::async_trait;
use event_contract::Personal;
use kernel::event::{Revision, StreamName};
use kernel::execution::{Environment, Loaded};
use kernel::seams::new_id;
use kernel::snapshot::{MemorySnapshots, Snapshot, SnapshotStore, SnapshotsUnavailable};
use kernel::store::EventStore as _;
use uuid::Uuid;

use crate::door::{Command, Door, DoorDecider, Doors, EVERY, ask, stream};
use crate::lamp::restored;

/// A door that many went through, one by one, with the snapshots of a process that saw it.
async fn worn_door(doors: &Doors, passages: usize) -> Uuid {
    let process = doors.process_with_snapshots();
    let id = new_id();
    ask(&process, id, Command::Open(id)).await.unwrap();
    for _ in 0..passages {
        ask(&process, id, Command::Pass(1)).await.unwrap();
        // At the pace of people, not of a machine: what is written is written in the meantime.
        process.finish().await;
    }
    doors.reads();
    id
}

async fn load(process: &Environment, id: Uuid) -> Loaded<DoorDecider> {
    process.load::<DoorDecider>(id).await.unwrap()
}

/// The revision of a door's snapshot.
async fn kept(doors: &Doors, id: Uuid) -> Option<Revision> {
    doors.snapshots.load(&stream(id)).await.unwrap().map(|snapshot| snapshot.revision)
}

#[tokio::test]
async fn a_long_stream_is_read_from_its_last_snapshot_on() {
    let doors = Doors::new();
    let id = worn_door(&doors, 620).await;
    assert_eq!(kept(&doors, id).await, Some(599));
    let loaded = load(&doors.process_with_snapshots(), id).await;
    assert_eq!((loaded.revision, loaded.position), (Some(620), 621));
    assert_eq!(loaded.state.passages, 620);
    // A first page that shows the stream to be long, then the snapshot's last event and the 21
    // after it.
    assert_eq!(doors.reads(), (2, 50 + 22));
    // Without: all of it, in two pages.
    let whole = load(&doors.process(), id).await;
    assert_eq!(whole.state, loaded.state);
    assert_eq!(doors.reads(), (2, 621));
}

#[tokio::test]
async fn a_short_stream_is_read_at_once_and_has_none() {
    let doors = Doors::new();
    let id = worn_door(&doors, 40).await;
    assert_eq!(kept(&doors, id).await, None);
    load(&doors.process_with_snapshots(), id).await;
    assert_eq!(doors.reads(), (1, 41));
}

#[tokio::test]
async fn whoever_had_to_read_much_leaves_a_snapshot() {
    let doors = Doors::new();
    let id = new_id();
    let process = doors.process();
    ask(&process, id, Command::Open(id)).await.unwrap();
    ask(&process, id, Command::Pass(519)).await.unwrap();
    let reader = doors.process_with_snapshots();
    load(&reader, id).await;
    reader.finish().await;
    assert_eq!(kept(&doors, id).await, Some(519));
    doors.reads();
    load(&doors.process_with_snapshots(), id).await;
    assert_eq!(doors.reads(), (2, 51));
}

#[tokio::test]
async fn commands_go_on_from_a_snapshot() {
    let doors = Doors::new();
    let id = worn_door(&doors, 120).await;
    let process = doors.process_with_snapshots();
    let done = ask(&process, id, Command::Close).await.unwrap();
    assert_eq!(done.revision, Some(121));
    doors.reads();
    ask(&process, id, Command::Open(id)).await.unwrap();
    assert_eq!(doors.reads(), (0, 0));
    assert_eq!(load(&doors.process(), id).await.state.passages, 120);
}

#[tokio::test]
async fn personal_values_are_sealed_and_erased_as_in_events() {
    let doors = Doors::new();
    let id = worn_door(&doors, 60).await;
    let snapshot = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    let text = String::from_utf8(snapshot.state).unwrap();
    assert!(!text.contains("Ada Martin") && text.contains("$sealed"), "{text}");
    let known = load(&doors.process_with_snapshots(), id).await.state.by;
    assert_eq!(known, Some(Personal::Known("Ada Martin".to_owned())));
    // The keys are gone.
    let erased = Doors { vault: Arc::default(), ..doors };
    let erased = load(&erased.process_with_snapshots(), id).await.state;
    assert_eq!((erased.by, erased.passages), (Some(Personal::Erased), 60));
}

#[tokio::test]
async fn a_sealed_value_opens_in_its_snapshot_only() {
    let doors = Doors::new();
    let (id, other) = (worn_door(&doors, 60).await, worn_door(&doors, 60).await);
    let stolen = doors.snapshots.load(&stream(other)).await.unwrap().unwrap().state;
    let own = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    doors.snapshots.forget(&stream(id)).await.unwrap();
    doors.snapshots.save(&Snapshot { state: stolen, ..own }).await.unwrap();
    doors.reads();
    assert_eq!(load(&doors.process_with_snapshots(), id).await.state.passages, 60);
    assert_eq!(doors.reads(), (2, 61), "the snapshot was believed");
}

#[tokio::test]
async fn a_snapshot_of_another_schema_is_ignored_and_replaced() {
    let doors = Doors::new();
    let id = worn_door(&doors, 120).await;
    let process = doors.process_with_snapshots();
    let loaded = process.load::<DoorDecider<2>>(id).await.unwrap();
    assert_eq!(loaded.state.passages, 120);
    assert_eq!(doors.reads(), (2, 121));
    process.finish().await;
    let replaced = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    assert_eq!((replaced.version, replaced.revision), (2, 120));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_ignored_and_replaced() {
    for damaged in [&b"nonsense"[..], b"{}", br#"{"open":true,"by":{"$sealed":"v1.AAAA"}}"#] {
        let doors = Doors::new();
        let id = worn_door(&doors, 120).await;
        let kept = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
        doors.snapshots.forget(&stream(id)).await.unwrap();
        let state = damaged.to_vec();
        doors.snapshots.save(&Snapshot { state, ..kept }).await.unwrap();
        let process = doors.process_with_snapshots();
        assert_eq!(load(&process, id).await.state.passages, 120);
        process.finish().await;
        let replaced = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
        let state: Door = load(&doors.process_with_snapshots(), id).await.state;
        assert_eq!((replaced.revision, state.passages), (120, 120));
    }
}

/// A log restored to an earlier backup under a snapshot that is ahead of it, which then grows
/// another way, past the snapshot's revision or not.
#[tokio::test]
async fn a_snapshot_that_a_restored_log_knows_nothing_of_is_ignored_and_removed() {
    for grown in [0, 10, 40] {
        let mut doors = Doors::new();
        let id = worn_door(&doors, 105).await;
        assert_eq!(kept(&doors, id).await, Some(99));
        doors.store = Arc::new(restored(&doors.process(), 90).await);
        let others = doors.process();
        ask(&others, id, Command::Close).await.unwrap();
        ask(&others, id, Command::Open(id)).await.unwrap();
        for _ in 0..grown {
            ask(&others, id, Command::Pass(1)).await.unwrap();
        }
        let process = doors.process_with_snapshots();
        let loaded = load(&process, id).await;
        assert_eq!(loaded.state, load(&doors.process(), id).await.state);
        assert_eq!(loaded.state.passages, 89 + grown);
        process.finish().await;
        // Instead of it there is one of the log as it is.
        assert_eq!(kept(&doors, id).await, Some(91 + grown));
    }
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_ignored_and_replaced() {
    let doors = Doors::new();
    let id = worn_door(&doors, 120).await;
    let kept = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    let other = Snapshot { log_id: new_id(), ..kept.clone() };
    doors.snapshots.save(&other).await.unwrap();
    let process = doors.process_with_snapshots();
    assert_eq!(load(&process, id).await.state.passages, 120);
    assert_eq!(doors.reads(), (2, 121));
    process.finish().await;
    let replaced = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    assert_eq!(replaced.log_id, doors.store.log_id());
}

#[tokio::test]
async fn an_earlier_snapshot_never_replaces_a_later_one() {
    let doors = Doors::new();
    let id = worn_door(&doors, 120).await;
    let kept = doors.snapshots.load(&stream(id)).await.unwrap().unwrap();
    let earlier = Snapshot { revision: 49, ..kept.clone() };
    doors.snapshots.save(&earlier).await.unwrap();
    assert_eq!(doors.snapshots.load(&stream(id)).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn what_is_forgotten_is_gone_from_the_snapshots_and_from_memory() {
    let doors = Doors::new();
    let process = doors.process_with_snapshots();
    let id = new_id();
    ask(&process, id, Command::Open(id)).await.unwrap();
    // The snapshot is on its way when the door is forgotten.
    ask(&process, id, Command::Pass(EVERY as usize)).await.unwrap();
    process.forget(&stream(id)).await.unwrap();
    assert_eq!(kept(&doors, id).await, None);
    doors.reads();
    ask(&process, id, Command::Pass(1)).await.unwrap();
    assert_eq!(doors.reads(), (2, 51));
}

/// A place of snapshots that is out of reach.
struct OutOfReach;

#[async_trait]
impl SnapshotStore for OutOfReach {
    async fn load(&self, _: &StreamName) -> Result<Option<Snapshot>, SnapshotsUnavailable> {
        Err(SnapshotsUnavailable("out of reach".into()))
    }

    async fn save(&self, _: &Snapshot) -> Result<(), SnapshotsUnavailable> {
        Err(SnapshotsUnavailable("out of reach".into()))
    }

    async fn forget(&self, _: &StreamName) -> Result<(), SnapshotsUnavailable> {
        Err(SnapshotsUnavailable("out of reach".into()))
    }
}

#[tokio::test]
async fn commands_do_not_depend_on_snapshots() {
    let doors = Doors::new();
    let process = doors.process().with_snapshots(Arc::new(OutOfReach));
    let id = new_id();
    ask(&process, id, Command::Open(id)).await.unwrap();
    for _ in 0..3 {
        ask(&process, id, Command::Pass(EVERY as usize)).await.unwrap();
        process.finish().await;
    }
    let beside = doors.process().with_snapshots(Arc::new(OutOfReach));
    assert_eq!(load(&beside, id).await.state.passages, 3 * EVERY);
    assert!(process.forget(&stream(id)).await.is_err(), "it may still be there");
}

#[tokio::test]
async fn a_decider_that_wants_none_has_none() {
    let doors = Doors::new();
    let process = doors.process().with_snapshots(Arc::new(MemorySnapshots::default()));
    let id = new_id();
    let cause = kernel::execution::Cause::request(new_id(), "test");
    for _ in 0..120 {
        let command = crate::lamp::Command::Light { lamp_id: id, by: "Ada" };
        process.execute::<crate::lamp::LampDecider>(id, command, &cause, None).await.unwrap();
    }
    process.finish().await;
    let lamp = StreamName::of("lamp", id);
    assert_eq!(doors.snapshots.load(&lamp).await.unwrap(), None);
}
