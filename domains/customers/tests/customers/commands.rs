//! Commands on customers, and the directory after them.

use customers::domain::{ContactChange, Refusal};
use customers::handlers::Error;
use customers::projections::Directory;
use customers::view::Status;
use database::Engine;
use kernel::event::{EventFilter, Revision};
use kernel::execution::{ExecuteError, Executed};
use kernel::projection::Projection as _;
use kernel::seams::new_id;
use kernel::sync::Patch;
use rstest::rstest;
use web_api::Owner;

use crate::world::{World, registration, request};

#[track_caller]
fn assert_refused(outcome: Result<Executed, Error>, expected: Refusal) {
    match outcome {
        Err(ExecuteError::Refused(refusal)) => assert_eq!(refusal, expected),
        other => panic!("expected {expected:?}, found {other:?}"),
    }
}

fn contact(email: &str) -> ContactChange {
    ContactChange { name: None, email: email.to_owned().into(), phone: Patch::Keep }
}

#[rstest]
#[tokio::test]
async fn a_registered_customer_is_shown(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let ada = registration("Ada@exemple.fr");
    let id = ada.customer_id;
    let executed = world.customers.register(ada, &request()).await.unwrap();
    assert_eq!((executed.revision, executed.recorded), (Some(0), true));
    let view = world.view(id.into()).await;
    assert_eq!(view.name.as_deref(), Some("Ada Martin"));
    assert_eq!(view.email.as_deref(), Some("Ada@exemple.fr"));
    assert_eq!(view.address.unwrap().city.as_deref(), Some("Paris"));
    assert_eq!((view.status, view.owner, view.revision), (Status::Open, Owner::Bascule, 0));
    assert_eq!(view.legacy, None);
    assert_eq!(world.story().await, ["CustomerRegistered.v1", "EmailClaimed.v1"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_registrations_of_one_address_one_wins(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    for round in 0..20 {
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let (customers, start) = (world.customers.clone(), start.clone());
                let local = if racer % 2 == 0 { "Ada" } else { "ada" };
                let registration = registration(&format!("{local}{round}@exemple.fr"));
                tokio::spawn(async move {
                    start.wait().await;
                    customers.register(registration, &request()).await
                })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                refused => assert_refused(refused, Refusal::EmailTaken),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(world.story().await.len(), 20 * 2);
}

#[rstest]
#[tokio::test]
async fn a_request_that_is_repeated_registers_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let ada = registration("ada@exemple.fr");
    let cause = request().recognised_by(new_id(), "register");
    let first = world.customers.register(ada.clone(), &cause).await.unwrap();
    let second = world.customers.register(ada, &cause).await.unwrap();
    assert_eq!(second.revision, first.revision);
    assert!(!second.recorded);
    assert_eq!(world.story().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn another_address_is_claimed_and_the_old_one_free(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (ada, bob) = (registration("ada@exemple.fr"), registration("bob@exemple.fr"));
    let (ada_id, bob_id) = (ada.customer_id, bob.customer_id);
    world.customers.register(ada, &request()).await.unwrap();
    world.customers.register(bob, &request()).await.unwrap();

    let customers = &world.customers;
    let taken = customers.change_contact(ada_id, contact("BOB@exemple.fr"), &request(), None).await;
    assert_refused(taken, Refusal::EmailTaken);

    customers.change_contact(ada_id, contact("ada@new.example"), &request(), None).await.unwrap();
    assert_eq!(
        world.story().await[4..],
        ["CustomerContactChanged.v1", "EmailClaimed.v1", "EmailReleased.v1"]
    );
    customers.change_contact(bob_id, contact("ada@exemple.fr"), &request(), None).await.unwrap();
    assert_eq!(world.view(ada_id.into()).await.email.as_deref(), Some("ada@new.example"));
    assert_eq!(world.view(bob_id.into()).await.email.as_deref(), Some("ada@exemple.fr"));
}

#[rstest]
#[tokio::test]
async fn the_same_address_in_other_letters_keeps_its_claim(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    let change = contact("Ada@Exemple.FR");
    world.customers.change_contact(id, change, &request(), None).await.unwrap();
    assert_eq!(world.story().await[2..], ["CustomerContactChanged.v1"]);
    assert_eq!(world.view(id.into()).await.email.as_deref(), Some("Ada@Exemple.FR"));

    let taken = world.customers.register(registration("ada@exemple.fr"), &request()).await;
    assert_refused(taken, Refusal::EmailTaken);
}

#[rstest]
#[tokio::test]
async fn closing_frees_the_address(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    let cause = request();
    let close = || world.customers.close(id, "moved away".to_owned(), &cause, None);
    close().await.unwrap();
    assert!(!close().await.unwrap().recorded);
    let view = world.view(id.into()).await;
    assert_eq!((view.status, view.revision), (Status::Closed, 1));
    assert_eq!(view.closed_reason.as_deref(), Some("moved away"));
    world.customers.register(registration("ada@exemple.fr"), &request()).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_change_of_what_was_not_seen_is_not_made(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let ada = registration("ada@exemple.fr");
    let (id, address) = (ada.customer_id, ada.address.clone().into_known().unwrap());
    world.customers.register(ada, &request()).await.unwrap();
    let moved = customers_contract::Address { line1: "2 rue Basse".to_owned(), ..address };
    let cause = request();
    let change = |expected: Revision| {
        world.customers.change_address(id, moved.clone(), &cause, Some(expected.into()))
    };
    assert!(matches!(
        change(7).await,
        Err(ExecuteError::RevisionMismatch { expected, actual: Some(0) }) if expected == 7.into()
    ));
    assert_eq!(change(0).await.unwrap().revision, Some(1));
    assert_eq!(world.view(id.into()).await.address.unwrap().line1, "2 rue Basse");
}

#[rstest]
#[tokio::test]
async fn personal_data_is_stored_sealed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    world.customers.register(registration("ada@exemple.fr"), &request()).await.unwrap();
    let page = world.environment.store.read_log(0, &EventFilter::all(), 10).await.unwrap();
    for event in page.events {
        let stored = format!("{} {}", event.stream, String::from_utf8_lossy(&event.data));
        // Each text has a character that is neither a hexadecimal digit nor in base64: other short words
        // can occur in an id or in encrypted bytes by chance.
        for personal in ["Ada Martin", "ada@", "exemple.fr", "la Paix", "\"75002\""] {
            assert!(!stored.contains(personal), "{personal} is stored in the clear");
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_was_erased_is_shown_as_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::with(engine, |_| false).await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    world.environment.codec.destroy_keys(&[id.into()], &[]).await.unwrap();
    world.release();
    let view = world.view(id.into()).await;
    assert_eq!((view.name, view.email, view.address), (None, None, None));
    assert_eq!(view.status, Status::Open);
}

#[rstest]
#[tokio::test]
async fn an_event_of_a_customer_that_is_not_in_the_directory_is_an_error(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::with(engine, |_| false).await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    world.customers.close(id, "moved away".to_owned(), &request(), None).await.unwrap();
    let page = world.environment.store.read_log(2, &EventFilter::all(), 1).await.unwrap();
    let closed = world.environment.codec.decode(page.events[0].clone()).await.unwrap();

    let directory = Directory::new(world.environment.lookup_key.clone());
    let mut transaction = world.module.database.begin().await.unwrap();
    let error = directory.project(&mut transaction, &closed).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "there is no customer {id} in the read model: its first event is missing or parked"
        )
    );
}

#[rstest]
#[tokio::test]
async fn one_address_is_registered_once_however_its_domain_is_written(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let register =
        async |email: &str| world.customers.register(registration(email), &request()).await;
    let holder = registration("ada@ex\u{e4}mple.fr");
    let id = holder.customer_id;
    world.customers.register(holder, &request()).await.unwrap();
    let spellings = ["Ada@EX\u{c4}MPLE.fr", "ada@xn--exmple-cua.fr", "ada@exa\u{308}mple.fr"];
    for other in spellings {
        assert_refused(register(other).await, Refusal::EmailTaken);
    }
    world.customers.close(id, "moved".to_owned(), &request(), None).await.unwrap();
    register(spellings[1]).await.unwrap();
    assert_refused(register(spellings[0]).await, Refusal::EmailTaken);
}
