//! A customer is erased: the person is gone, the log stays readable.

use actix_web::test::TestRequest;
use customers::domain::Refusal;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::execution::ExecuteError;
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncOutcome, SyncRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{CUSTOMERS, ada, get, import, post, registered, send};
use crate::harness::{LONG, Running, request};

/// What is known of Ada, wherever it stands.
const SAID_OF_ADA: [&str; 4] = ["Ada Martin", "ada@exemple.fr", "rue de la Paix", "quarrelled"];

async fn erase(running: &Running, id: Uuid) {
    let executed = running.customers.erase(id, &request()).await.unwrap();
    let done = async {
        loop {
            let checkpoint = running.module.database.checkpoint(customers::erasure::NAME).await;
            if checkpoint.unwrap().is_some_and(|at| at.position >= executed.position) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, done).await.expect("what follows from an erasure does not happen");
}

/// Ada, with an idempotency key, closed for a reason that speaks of her.
async fn closed_ada(running: &Running) -> Uuid {
    let keyed = TestRequest::post().uri(CUSTOMERS).insert_header(("Idempotency-Key", "ada-1"));
    let id = send(running, keyed.set_json(ada())).await.body["id"].as_str().unwrap().to_owned();
    let closed = post(running, &format!("/{id}/close"), &json!({"reason": "we quarrelled"})).await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    get(running, &format!("/{id}")).await;
    id.parse().unwrap()
}

#[actix_web::test]
async fn nothing_of_an_erased_customer_is_left_in_the_files() {
    let running = Running::start().await;
    let bob = json!({ "kind": "person", "name": "Bob Durand", "email": "bob@exemple.fr",
        "address": { "line1": "2 rue Basse", "postal_code": "69002", "city": "Lyon", "country": "FR" } });
    registered(&running, &bob).await;
    let id = closed_ada(&running).await;
    assert!(
        SAID_OF_ADA.iter().all(|text| running.files_hold(text)),
        "the files were not looked at"
    );
    erase(&running, id).await;
    for text in SAID_OF_ADA {
        assert!(!running.files_hold(text), "{text} is in the files");
    }
    assert!(running.files_hold("Bob Durand"));
    let holder = |purpose: &str| KeyHolder { subject: id, purpose: purpose.to_owned() };
    let codec = &running.environment.codec;
    assert!(codec.is_key_destroyed(&holder("orders")).await.unwrap());
    assert!(!codec.is_key_destroyed(&holder("billing")).await.unwrap(), "it decides for itself");
}

#[actix_web::test]
async fn an_erased_customer_is_not_shown_and_takes_no_commands_and_its_history_is_readable() {
    let running = Running::start().await;
    let id = closed_ada(&running).await;
    erase(&running, id).await;
    assert_eq!(get(&running, &format!("/{id}")).await.status, 404);
    assert_eq!(get(&running, "").await.body["items"], json!([]));
    let refused = post(&running, &format!("/{id}/close"), &json!({"reason": "x"})).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.body["type"], "/problems/refused/customer-erased");

    let history = get(&running, &format!("/{id}/history")).await;
    let items = history.body["items"].as_array().unwrap().clone();
    let types: Vec<&Value> = items.iter().map(|item| &item["type"]).collect();
    assert_eq!(
        types,
        [
            "customers.CustomerRegistered.v1",
            "customers.CustomerClosed.v1",
            "customers.CustomerErased.v1"
        ]
    );
    assert_eq!(items[0]["data"]["name"], Value::Null);
    assert_eq!(items[1]["data"]["reason"], Value::Null);
}

#[actix_web::test]
async fn erasing_twice_records_nothing_and_nobody_cannot_be_erased() {
    let running = Running::start().await;
    let id = closed_ada(&running).await;
    erase(&running, id).await;
    let head = running.environment.store.head().await.unwrap();
    let again = running.customers.erase(id, &request()).await.unwrap();
    assert_eq!((again.recorded, again.position), (false, head));
    let error = running.customers.erase(new_id(), &request()).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(Refusal::NoSuchCustomer)), "{error}");
}

#[actix_web::test]
async fn the_address_of_an_erased_customer_is_free_at_once() {
    let running = Running::start().await;
    let id: Uuid = registered(&running, &ada()).await.parse().unwrap();
    assert_eq!(post(&running, "", &ada()).await.status, 409);
    running.customers.erase(id, &request()).await.unwrap();
    assert_eq!(running.log().await[2..], ["CustomerErased.v1", "EmailReleased.v1"]);
    assert_eq!(post(&running, "", &ada()).await.status, 201);
}

#[actix_web::test]
async fn the_legacy_does_not_bring_an_erased_customer_back() {
    let running = Running::start().await;
    let id = new_id();
    import(&running, id, json!({ "name": "Ada Martin", "email": "ada@exemple.fr" })).await;
    erase(&running, id).await;
    let head = running.environment.store.head().await.unwrap();
    for state in [
        LegacyState::Present(json!({ "name": "Ada Martin" })),
        LegacyState::Absent { reason: "deleted".to_owned() },
    ] {
        let legacy = LegacyReference { source: "tryton".to_owned(), id: "7".to_owned() };
        let request = SyncRequest { id, legacy, state, cause: request() };
        let outcome = running.module.sync_targets[0].sync(request).await.unwrap();
        assert_eq!(outcome, SyncOutcome::Suppressed);
    }
    assert_eq!(running.environment.store.head().await.unwrap(), head);
    assert!(!running.files_hold("Ada Martin"));
}
