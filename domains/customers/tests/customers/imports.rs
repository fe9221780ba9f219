//! Imports of a legacy system's customers, and the directory after them.

use std::sync::Arc;

use customers::lookup::EmailKey;
use customers::queries::directory::{self, Filter};
use customers::view::{Kind, Status};
use database::Engine;
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;
use web_api::{List, Owner, Paging};

use crate::world::{World, registration, request};

fn target(world: &World) -> Arc<dyn SyncTarget> {
    let target = Arc::clone(&world.module.sync_targets[0]);
    assert_eq!(target.command(), "customers.SyncCustomer");
    target
}

async fn sync(world: &World, id: Uuid, state: LegacyState) -> Result<SyncOutcome, SyncError> {
    let legacy = LegacyReference {
        source: "tryton".to_owned(),
        id: format!("party_party/{}", id.as_u128() % 1000),
    };
    target(world).sync(SyncRequest { id, legacy, state, cause: request() }).await
}

async fn present(world: &World, id: Uuid, state: Value) -> SyncOutcome {
    sync(world, id, LegacyState::Present(state)).await.unwrap()
}

async fn absent(world: &World, id: Uuid) -> SyncOutcome {
    sync(world, id, LegacyState::Absent { reason: "deleted".to_owned() }).await.unwrap()
}

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

#[rstest]
#[tokio::test]
async fn an_imported_customer_is_shown_as_the_legacy_has_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let outcome = present(
        &world,
        FIRST,
        json!({
            "kind": "company", "status": "closed", "closed_reason": "inactive", "number": "C1",
            "name": "Bocage", "email": " not an address", "phone": "", "vat_number": "FR1",
            "address": {"line1": "1 rue\\nHaute", "line2": null, "postal_code": "72000",
                "city": "Le Mans", "country": "fr"},
            "flags": ["address_multiline"],
        }),
    )
    .await;
    assert_eq!(outcome, SyncOutcome::Imported);
    let view = serde_json::to_value(world.view(FIRST).await).unwrap();
    let registered_at = view["registered_at"].clone();
    assert_eq!(
        view,
        json!({
            "id": FIRST, "kind": "company", "status": "closed", "closed_reason": "inactive",
            "number": "C1", "name": "Bocage", "email": " not an address", "phone": "",
            "vat_number": "FR1",
            "address": {"line1": "1 rue\\nHaute", "postal_code": "72000", "city": "Le Mans",
                "country": "fr"},
            "owner": "legacy",
            "legacy": {"source": "tryton", "id": "party_party/1", "flags": ["address_multiline"]},
            "registered_at": registered_at, "revision": 0,
        })
    );
}

#[rstest]
#[tokio::test]
async fn only_what_changed_is_recorded(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let state = json!({"name": "Bocage", "phone": "02", "number": "C1"});
    assert_eq!(present(&world, FIRST, state.clone()).await, SyncOutcome::Imported);
    assert_eq!(present(&world, FIRST, state).await, SyncOutcome::Unchanged);
    assert_eq!(present(&world, FIRST, json!({})).await, SyncOutcome::Unchanged);
    let outcome = present(&world, FIRST, json!({"phone": null, "name": "Bocages"})).await;
    let SyncOutcome::Revised(mut changed) = outcome else { panic!("{outcome:?}") };
    changed.sort();
    assert_eq!(changed, ["name", "phone"]);
    let view = world.view(FIRST).await;
    assert_eq!((view.name.as_deref(), view.phone), (Some("Bocages"), None));
    assert_eq!((view.number.as_deref(), view.revision), (Some("C1"), 1));
    assert_eq!(world.story().await, ["CustomerImported.v1", "CustomerRevised.v1"]);
}

#[rstest]
#[tokio::test]
async fn a_customer_that_vanishes_is_closed_and_reopens_when_it_returns(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    assert_eq!(absent(&world, FIRST).await, SyncOutcome::Ignored);
    assert_eq!(world.story().await.len(), 0);

    present(&world, FIRST, json!({"name": "Bocage", "status": "open"})).await;
    assert!(matches!(absent(&world, FIRST).await, SyncOutcome::Revised(_)));
    assert_eq!(absent(&world, FIRST).await, SyncOutcome::Unchanged);
    let view = world.view(FIRST).await;
    assert_eq!((view.status, view.closed_reason.as_deref()), (Status::Closed, Some("deleted")));

    present(&world, FIRST, json!({"name": "Bocage", "status": "open"})).await;
    let view = world.view(FIRST).await;
    assert_eq!((view.status, view.closed_reason), (Status::Open, None));
    assert_eq!(view.legacy.unwrap().flags, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn what_bascule_owns_is_a_conflict(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    let before = world.story().await;
    assert_eq!(present(&world, id.into(), json!({"name": "x"})).await, SyncOutcome::Conflict);
    assert_eq!(absent(&world, id.into()).await, SyncOutcome::Conflict);
    assert_eq!(world.story().await, before);
    assert_eq!(world.view(id.into()).await.owner, Owner::Bascule);
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_understood_is_not_recorded(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let state = LegacyState::Present(json!({"name": "Ada", "mail": "ada@exemple.fr"}));
    match sync(&world, FIRST, state).await {
        Err(SyncError::NotUnderstood(text)) => {
            assert!(text.contains("`mail`") && !text.contains("ada@"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.story().await.len(), 0);
}

#[rstest]
#[tokio::test]
async fn a_shared_address_is_imported_flagged_and_not_claimed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let flags = async |id| world.view(id).await.legacy.unwrap().flags;
    present(&world, FIRST, json!({"email": "Shared@exemple.fr"})).await;
    assert_eq!(flags(FIRST).await, Vec::<String>::new());

    present(&world, SECOND, json!({"email": "shared@exemple.fr "})).await;
    assert_eq!(flags(FIRST).await, ["email_shared"]);
    assert_eq!(flags(SECOND).await, ["email_shared"]);

    absent(&world, SECOND).await;
    assert_eq!(flags(FIRST).await, Vec::<String>::new());

    let ada = registration("shared@exemple.fr");
    world.customers.register(ada, &request()).await.unwrap();
    assert_eq!(flags(FIRST).await, ["email_shared"]);
}

#[rstest]
#[tokio::test]
async fn customers_are_found_by_what_they_are(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    present(&world, FIRST, json!({"email": "x@exemple.fr", "kind": "company"})).await;
    present(&world, SECOND, json!({"email": "y@exemple.fr", "status": "closed"})).await;
    let ada = registration("X@exemple.fr");
    let ada_id = ada.customer_id;
    world.customers.register(ada, &request()).await.unwrap();
    world.view(ada_id.into()).await;

    let found = async |filter: Filter| {
        let database = &world.module.database;
        let list = List::recorded(Paging::of(None, None));
        let page = directory::list(database, &filter, &list).await.unwrap();
        page.into_iter().map(|(_, view)| view.id.as_uuid()).collect::<Vec<_>>()
    };
    let all = Filter::default();
    assert_eq!(found(all.clone()).await, [ada_id.as_uuid(), SECOND, FIRST]);
    let email = Some(EmailKey::of(&world.environment.lookup_key, "x@EXEMPLE.fr"));
    let by_email = Filter { email, ..all.clone() };
    assert_eq!(found(by_email.clone()).await, [ada_id.as_uuid(), FIRST]);
    assert_eq!(found(Filter { owner: Some(Owner::Legacy), ..by_email }).await, [FIRST]);
    assert_eq!(found(Filter { status: Some(Status::Closed), ..all.clone() }).await, [SECOND]);
    let kind = Some(Kind::Person);
    assert_eq!(found(Filter { kind, ..all.clone() }).await, [ada_id.as_uuid(), SECOND]);
    let legacy_id = Some("party_party/2".to_owned());
    assert_eq!(found(Filter { legacy_id, ..all }).await, [SECOND]);
    assert!(directory::find(&world.module.database, new_id().into()).await.unwrap().is_none());
}
