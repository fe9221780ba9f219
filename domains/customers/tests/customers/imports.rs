//! What a legacy system says of its customers, and what the directory then shows.

use std::sync::Arc;

use customers::queries::{Filter, Status};
use customers::{lookup::EmailKey, queries};
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde_json::{Value, json};
use uuid::Uuid;
use web_api::{List, Owner, Paging};

use crate::harness::{Running, registration, request};

fn target(running: &Running) -> Arc<dyn SyncTarget> {
    let target = Arc::clone(&running.module.sync_targets[0]);
    assert_eq!(target.command(), "customers.SyncCustomer");
    target
}

async fn sync(running: &Running, id: Uuid, state: LegacyState) -> Result<SyncOutcome, SyncError> {
    let legacy = LegacyReference {
        source: "tryton".to_owned(),
        id: format!("party_party/{}", id.as_u128() % 1000),
    };
    target(running).sync(SyncRequest { id, legacy, state, cause: request() }).await
}

async fn present(running: &Running, id: Uuid, state: Value) -> SyncOutcome {
    sync(running, id, LegacyState::Present(state)).await.unwrap()
}

async fn absent(running: &Running, id: Uuid) -> SyncOutcome {
    sync(running, id, LegacyState::Absent { reason: "deleted".to_owned() }).await.unwrap()
}

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

#[tokio::test]
async fn an_imported_customer_is_shown_as_the_legacy_has_it() {
    let running = Running::start().await;
    let outcome = present(
        &running,
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
    let view = serde_json::to_value(running.view(FIRST).await).unwrap();
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

#[tokio::test]
async fn only_what_changed_is_recorded() {
    let running = Running::start().await;
    let state = json!({"name": "Bocage", "phone": "02", "number": "C1"});
    assert_eq!(present(&running, FIRST, state.clone()).await, SyncOutcome::Imported);
    assert_eq!(present(&running, FIRST, state).await, SyncOutcome::Unchanged);
    assert_eq!(present(&running, FIRST, json!({})).await, SyncOutcome::Unchanged);
    let outcome = present(&running, FIRST, json!({"phone": null, "name": "Bocages"})).await;
    let SyncOutcome::Revised(mut changed) = outcome else { panic!("{outcome:?}") };
    changed.sort();
    assert_eq!(changed, ["name", "phone"]);
    let view = running.view(FIRST).await;
    assert_eq!((view.name.as_deref(), view.phone), (Some("Bocages"), None));
    assert_eq!((view.number.as_deref(), view.revision), (Some("C1"), 1));
    assert_eq!(running.log().await, ["CustomerImported.v1", "CustomerRevised.v1"]);
}

#[tokio::test]
async fn a_customer_that_vanishes_is_closed_and_reopens_when_it_returns() {
    let running = Running::start().await;
    assert_eq!(absent(&running, FIRST).await, SyncOutcome::Ignored);
    assert_eq!(running.log().await.len(), 0);

    present(&running, FIRST, json!({"name": "Bocage", "status": "open"})).await;
    assert!(matches!(absent(&running, FIRST).await, SyncOutcome::Revised(_)));
    assert_eq!(absent(&running, FIRST).await, SyncOutcome::Unchanged);
    let view = running.view(FIRST).await;
    assert_eq!((view.status, view.closed_reason.as_deref()), (Status::Closed, Some("deleted")));

    present(&running, FIRST, json!({"name": "Bocage", "status": "open"})).await;
    let view = running.view(FIRST).await;
    assert_eq!((view.status, view.closed_reason), (Status::Open, None));
    assert_eq!(view.legacy.unwrap().flags, Vec::<String>::new());
}

#[tokio::test]
async fn what_bascule_owns_is_a_conflict() {
    let running = Running::start().await;
    let ada = registration("ada@exemple.fr");
    let id = ada.customer_id;
    running.customers.register(ada, &request()).await.unwrap();
    let before = running.log().await;
    assert_eq!(present(&running, id, json!({"name": "x"})).await, SyncOutcome::Conflict);
    assert_eq!(absent(&running, id).await, SyncOutcome::Conflict);
    assert_eq!(running.log().await, before);
    assert_eq!(running.view(id).await.owner, Owner::Bascule);
}

#[tokio::test]
async fn what_cannot_be_understood_is_not_recorded() {
    let running = Running::start().await;
    let state = LegacyState::Present(json!({"name": "Ada", "mail": "ada@exemple.fr"}));
    match sync(&running, FIRST, state).await {
        Err(SyncError::NotUnderstood(text)) => {
            assert!(text.contains("`mail`") && !text.contains("ada@"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(running.log().await.len(), 0);
}

#[tokio::test]
async fn a_shared_address_is_imported_flagged_and_not_claimed() {
    let running = Running::start().await;
    let flags = async |id| running.view(id).await.legacy.unwrap().flags;
    present(&running, FIRST, json!({"email": "Shared@exemple.fr"})).await;
    assert_eq!(flags(FIRST).await, Vec::<String>::new());

    present(&running, SECOND, json!({"email": "shared@exemple.fr "})).await;
    assert_eq!(flags(FIRST).await, ["email_shared"]);
    assert_eq!(flags(SECOND).await, ["email_shared"]);

    absent(&running, SECOND).await;
    assert_eq!(flags(FIRST).await, Vec::<String>::new());

    let ada = registration("shared@exemple.fr");
    running.customers.register(ada, &request()).await.unwrap();
    assert_eq!(flags(FIRST).await, ["email_shared"]);
}

#[tokio::test]
async fn customers_are_found_by_what_they_are() {
    let running = Running::start().await;
    present(&running, FIRST, json!({"email": "x@exemple.fr", "kind": "company"})).await;
    present(&running, SECOND, json!({"email": "y@exemple.fr", "status": "closed"})).await;
    let ada = registration("X@exemple.fr");
    let ada_id = ada.customer_id;
    running.customers.register(ada, &request()).await.unwrap();
    running.view(ada_id).await;

    let found = async |filter: Filter| {
        let database = &running.module.database;
        let list = List::recorded(Paging::of(None, None));
        let page = queries::list(database, &filter, &list).await.unwrap();
        page.into_iter().map(|(_, view)| view.id).collect::<Vec<_>>()
    };
    let all = Filter::default();
    assert_eq!(found(all.clone()).await, [ada_id, SECOND, FIRST]);
    let email = Some(EmailKey::all(&running.environment.lookup_key, "x@EXEMPLE.fr"));
    let by_email = Filter { email, ..all.clone() };
    assert_eq!(found(by_email.clone()).await, [ada_id, FIRST]);
    assert_eq!(found(Filter { owner: Some(Owner::Legacy), ..by_email }).await, [FIRST]);
    assert_eq!(found(Filter { status: Some(Status::Closed), ..all.clone() }).await, [SECOND]);
    let kind = Some(queries::Kind::Person);
    assert_eq!(found(Filter { kind, ..all.clone() }).await, [ada_id, SECOND]);
    let legacy_id = Some("party_party/2".to_owned());
    assert_eq!(found(Filter { legacy_id, ..all }).await, [SECOND]);
    assert!(queries::find(&running.module.database, new_id()).await.unwrap().is_none());
}
