use std::sync::Arc;

use database::Engine;
use kernel::seams::SystemClock;
use rstest::rstest;
use testkit::engines::TestTables;
use testkit::statements::are_prepared;

use super::*;

async fn sandbox(place: &TestTables) -> Sandbox {
    let settings = SandboxSettings { slow_answer_after_ms: 0, ledger: None };
    Sandbox::open(place.url(), Arc::new(SystemClock), settings).await.unwrap()
}

fn charge(key: u128, method: &str) -> ChargeRequest {
    ChargeRequest {
        idempotency_key: Uuid::from_u128(key),
        payment_id: PaymentId::from_u128(100 + key),
        amount: "12.50".parse().unwrap(),
        currency: "EUR".to_owned(),
        method: method.to_owned(),
    }
}

fn refund(key: u128, charge_key: u128) -> RefundRequest {
    RefundRequest {
        idempotency_key: Uuid::from_u128(key),
        charge_key: Uuid::from_u128(charge_key),
        amount: "12.50".parse().unwrap(),
        currency: "EUR".to_owned(),
    }
}

fn captured(key: u128) -> ChargeOutcome {
    ChargeOutcome::Captured { reference: charge_reference(Uuid::from_u128(key)) }
}

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    are_prepared(&sandbox.ledger, &[STATEMENTS]).await;
}

#[rstest]
#[tokio::test]
async fn the_method_decides_and_the_same_key_takes_money_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    for _ in 0..2 {
        assert_eq!(sandbox.charge(&charge(1, "sandbox:ok")).await.unwrap(), captured(1));
        assert_eq!(sandbox.charge(&charge(2, "sandbox:slow")).await.unwrap(), captured(2));
        for (key, method) in [(3, "sandbox:declined"), (4, "sandbox:no-such"), (5, "card")] {
            let outcome = sandbox.charge(&charge(key, method)).await.unwrap();
            assert!(matches!(outcome, ChargeOutcome::Declined { .. }), "{method}: {outcome:?}");
        }
    }
    let charges = sandbox.charges().await.unwrap();
    let captures: Vec<_> =
        charges.iter().map(|charge| (charge.captured, charge.attempts)).collect();
    assert_eq!(captures, [(true, 2), (true, 2), (false, 2), (false, 2), (false, 2)]);
}

#[rstest]
#[tokio::test]
async fn flaky_fails_twice_for_each_charge(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    for key in [1, 2] {
        let request = charge(key, "sandbox:flaky");
        for _ in 0..2 {
            assert!(sandbox.charge(&request).await.is_err());
            let status = sandbox.lookup(request.idempotency_key).await.unwrap();
            assert_eq!(status, ChargeStatus::NotFound);
        }
        assert_eq!(sandbox.charge(&request).await.unwrap(), captured(key));
    }
}

#[rstest]
#[tokio::test]
async fn never_neither_answers_nor_decides_and_can_be_cancelled(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    let request = charge(1, "sandbox:never");
    // The enquiry sees the charge once it is stored.
    let enquiry = async {
        loop {
            match sandbox.lookup(request.idempotency_key).await.unwrap() {
                ChargeStatus::NotFound => tokio::task::yield_now().await,
                status => return status,
            }
        }
    };
    tokio::select! {
        outcome = sandbox.charge(&request) => panic!("answered {outcome:?}"),
        status = enquiry => assert_eq!(status, ChargeStatus::Pending),
    }
    let cancelled = sandbox.cancel(request.idempotency_key).await.unwrap();
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    let status = sandbox.lookup(request.idempotency_key).await.unwrap();
    assert_eq!(status, ChargeStatus::Cancelled);
}

#[rstest]
#[tokio::test]
async fn a_cancelled_charge_takes_nothing_even_if_it_arrives_afterwards(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    let request = charge(1, "sandbox:ok");
    let cancelled = sandbox.cancel(request.idempotency_key).await.unwrap();
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    let outcome = sandbox.charge(&request).await.unwrap();
    assert!(matches!(outcome, ChargeOutcome::Declined { .. }), "{outcome:?}");
    assert!(!sandbox.charges().await.unwrap()[0].captured);
}

/// In either order: a charge whose cancellation succeeded captures nothing.
#[rstest]
#[tokio::test]
async fn of_a_charge_and_its_cancellation_at_once_one_comes_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let (ours, theirs) = (sandbox(&place).await, sandbox(&place).await);
    for key in 0..20 {
        let request = charge(key, "sandbox:ok");
        let (charged, cancelled) =
            tokio::join!(ours.charge(&request), theirs.cancel(request.idempotency_key));
        let captured = charged.unwrap() == captured(key);
        let cancelled = cancelled.unwrap() == CancelOutcome::Cancelled;
        assert_ne!(captured, cancelled, "{key}");
        let status = ours.lookup(request.idempotency_key).await.unwrap();
        assert_eq!(status == ChargeStatus::Cancelled, cancelled, "{key}: {status:?}");
    }
}

/// A transaction locks the charge that it decides on until it ends.
#[tokio::test]
async fn a_cancellation_waits_for_the_charge_that_is_being_decided() {
    let place = TestTables::on(Engine::Postgres).await;
    let (ours, theirs) = (sandbox(&place).await, sandbox(&place).await);
    let request = charge(1, "sandbox:ok");
    let mut transaction = ours.ledger.begin().await.unwrap();
    hold(&mut transaction, request.idempotency_key).await.unwrap();
    let captured = async {
        let waiting = Statement::Same(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        while ours.ledger.query(&waiting).scalar::<i64>().await.unwrap() == 0 {}
        let capture = Statement::Same("UPDATE charge SET status = 'captured'");
        transaction.query(&capture).execute().await.unwrap();
        transaction.commit().await.unwrap();
    };
    let (cancelled, ()) = tokio::join!(theirs.cancel(request.idempotency_key), captured);
    assert!(matches!(cancelled.unwrap(), CancelOutcome::AlreadyCaptured { .. }));
}

#[rstest]
#[tokio::test]
async fn money_that_was_taken_cannot_be_cancelled_but_goes_back_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    sandbox.charge(&charge(1, "sandbox:ok")).await.unwrap();
    let reference = charge_reference(Uuid::from_u128(1));
    let cancelled = sandbox.cancel(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(cancelled, CancelOutcome::AlreadyCaptured { reference });

    let key = Uuid::from_u128(9);
    assert_eq!(sandbox.lookup_refund(key).await.unwrap(), RefundStatus::NotFound);
    let reference = refund_reference(key);
    for _ in 0..2 {
        let outcome = sandbox.refund(&refund(9, 1)).await.unwrap();
        assert_eq!(outcome, RefundOutcome::Refunded { reference: reference.clone() });
    }
    let status = sandbox.lookup_refund(key).await.unwrap();
    assert_eq!(status, RefundStatus::Refunded { reference });
    let again = sandbox.refund(&refund(10, 1)).await.unwrap();
    assert_eq!(again, RefundOutcome::Refused { code: "already_refunded".to_owned() });
    assert!(sandbox.charges().await.unwrap()[0].refunded);
}

#[rstest]
#[tokio::test]
async fn nothing_goes_back_of_what_was_not_taken(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let sandbox = sandbox(&place).await;
    sandbox.charge(&charge(1, "sandbox:declined")).await.unwrap();
    for charge_key in [1, 2] {
        let outcome = sandbox.refund(&refund(9, charge_key)).await.unwrap();
        assert_eq!(outcome, RefundOutcome::Refused { code: "charge_not_captured".to_owned() });
    }
}

#[rstest]
#[tokio::test]
async fn it_remembers_across_a_restart_of_ours(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let first = sandbox(&place).await;
    first.charge(&charge(1, "sandbox:ok")).await.unwrap();
    first.ledger.close().await;
    let second = sandbox(&place).await;
    let reference = charge_reference(Uuid::from_u128(1));
    let status = second.lookup(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(status, ChargeStatus::Captured { reference });
}
