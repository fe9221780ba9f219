use std::sync::Arc;

use kernel::execution::{Cause, ExecuteError, ExpectedAt};
use kernel::seams::new_id;

use crate::lamp::{Command, LampDecider, house};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slower_decides_again_and_nothing_is_lost() {
    let environment = house().environment;
    let id = new_id();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let environment = environment.clone();
        tasks.spawn(async move {
            let cause = Cause::request(new_id(), "test");
            let command = Command::Light { lamp_id: id, by: "Ada" };
            environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap()
        });
    }
    let mut revisions: Vec<_> =
        tasks.join_all().await.into_iter().filter_map(|done| done.revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [0, 1, 2, 3, 4, 5]);
    assert_eq!(environment.load::<LampDecider>(id).await.unwrap().state.times, 6);
}

#[tokio::test]
async fn a_repeated_cause_is_recognised_and_changes_nothing() {
    let environment = house().environment;
    let id = new_id();
    let cause = Cause::request(new_id(), "test").recognised_by(new_id(), "light");
    let light = Command::Light { lamp_id: id, by: "Ada" };
    let first = environment.execute::<LampDecider>(id, light.clone(), &cause, None).await.unwrap();
    let again = environment.execute::<LampDecider>(id, light, &cause, None).await.unwrap();
    assert!(first.recorded && !again.recorded);
    assert_eq!(first.position, again.position);
    assert_eq!(environment.load::<LampDecider>(id).await.unwrap().state.times, 1);
}

#[tokio::test]
async fn one_cause_may_touch_several_aggregates() {
    let environment = house().environment;
    let cause = Cause::request(new_id(), "test").recognised_by(new_id(), "light");
    for id in [new_id(), new_id()] {
        let light = Command::Light { lamp_id: id, by: "Ada" };
        let done = environment.execute::<LampDecider>(id, light, &cause, None).await;
        assert!(done.unwrap().recorded);
    }
    assert_eq!(environment.store.head().await.unwrap(), 2);
}

#[tokio::test]
async fn an_unmet_revision_is_told_with_the_one_found() {
    let environment = house().environment;
    let id = new_id();
    let cause = Cause::request(new_id(), "test");
    let light = Command::Light { lamp_id: id, by: "Ada" };
    environment.execute::<LampDecider>(id, light.clone(), &cause, None).await.unwrap();
    let error =
        environment.execute::<LampDecider>(id, light, &cause, Some(4.into())).await.unwrap_err();
    let ExecuteError::RevisionMismatch { expected, actual: Some(0) } = error else {
        panic!("{error:?}");
    };
    assert_eq!(expected, 4.into());
    let one_of = |revisions: [u64; 2]| Some(ExpectedAt::one_of(revisions));
    let put_out = async |expected| {
        environment.execute::<LampDecider>(id, Command::Count, &cause, expected).await
    };
    assert!(put_out(one_of([4, 5])).await.is_err());
    assert_eq!(put_out(one_of([4, 0])).await.unwrap().revision, Some(1), "one of them suffices");
}

#[tokio::test]
async fn events_carry_who_why_and_where() {
    let environment = house().environment;
    let (id, correlation_id) = (new_id(), new_id());
    let mut cause = Cause::request(correlation_id, "clerk");
    cause.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let light = Command::Light { lamp_id: id, by: "Ada" };
    environment.execute::<LampDecider>(id, light, &cause, None).await.unwrap();
    let first = environment.store.read_correlation(correlation_id, 0, 1).await.unwrap().remove(0);
    let reaction = Cause::reaction(&first, "house.counting");
    environment.execute::<LampDecider>(id, Command::Count, &reaction, None).await.unwrap();
    let second = environment.store.read_correlation(correlation_id, 1, 1).await.unwrap().remove(0);
    assert_eq!(first.metadata.actor, "clerk");
    assert_eq!(first.metadata.causation_id, None);
    assert_eq!(second.metadata.actor, "house.counting");
    assert_eq!(second.metadata.causation_id, Some(first.id));
    assert_eq!(second.metadata.traceparent, cause.traceparent);
    assert_eq!(second.metadata.origin_system, "bascule");
    // The id of a reaction is a storage format: UUIDv5(trigger, name/stream/index).
    let name = format!("house.counting/lamp-{id}/0");
    assert_eq!(second.id, uuid::Uuid::new_v5(&first.id, name.as_bytes()));
    drop(Arc::clone(&environment.store));
}
