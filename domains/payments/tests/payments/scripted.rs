//! A provider that a test controls, and that records its calls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, ChargeStatus, PaymentProvider, ProviderError,
    RefundOutcome, RefundRequest, RefundStatus,
};
use tokio::sync::watch;
use uuid::Uuid;

/// What the next call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Does what the call asks for.
    Works,
    /// Does what the call asks for, but never answers.
    WorksSilently,
    /// Does nothing, and never answers.
    Hangs,
    /// Answers that it is unavailable.
    Fails,
    /// Answers that it has not decided yet.
    Defers,
    /// Refuses for good.
    Refuses,
}

/// A call: which operation, with which idempotency key.
pub(crate) type Call = (&'static str, Uuid);

pub(crate) struct Scripted {
    plan: Mutex<VecDeque<(&'static str, Does)>>,
    /// What an operation does when nothing is planned for it.
    habits: Mutex<HashMap<&'static str, Does>>,
    books: Mutex<Books>,
    calls: watch::Sender<Vec<Call>>,
}

#[derive(Default)]
struct Books {
    captured: HashSet<Uuid>,
    cancelled: HashSet<Uuid>,
    refunded: HashSet<Uuid>,
}

impl Scripted {
    /// Works, but for these calls, in their order for each operation.
    pub(crate) fn new(plan: impl IntoIterator<Item = (&'static str, Does)>) -> Arc<Self> {
        Arc::new(Self {
            plan: Mutex::new(plan.into_iter().collect()),
            habits: Mutex::default(),
            books: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
        })
    }

    /// From now on an operation does this when nothing else is planned for it.
    pub(crate) fn always(&self, operation: &'static str, does: Does) {
        self.habits.lock().unwrap().insert(operation, does);
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// The operations called so far.
    pub(crate) fn operations(&self) -> Vec<&'static str> {
        self.calls().into_iter().map(|(operation, _)| operation).collect()
    }

    /// Waits until an operation is being called for the `count`th time.
    pub(crate) async fn called(&self, operation: &str, count: usize) {
        let mut calls = self.calls.subscribe();
        let enough = calls.wait_for(|calls| {
            calls.iter().filter(|(called, _)| *called == operation).count() >= count
        });
        let outcome = tokio::time::timeout(Duration::from_secs(20), enough).await;
        assert!(outcome.is_ok(), "{operation} was not called {count} times");
    }

    /// What the next call of an operation does.
    fn next(&self, operation: &'static str) -> Does {
        let mut plan = self.plan.lock().unwrap();
        let planned = plan.iter().position(|(planned, _)| *planned == operation);
        if let Some((_, does)) = planned.and_then(|at| plan.remove(at)) {
            return does;
        }
        self.habits.lock().unwrap().get(operation).copied().unwrap_or(Does::Works)
    }

    fn note(&self, operation: &'static str, key: Uuid) {
        self.calls.send_modify(|calls| calls.push((operation, key)));
    }

    /// What is the same for every operation: what it does besides working.
    async fn answer<T>(
        &self,
        operation: &'static str,
        key: Uuid,
        deferred: T,
        refused: T,
        work: impl FnOnce(&mut Books) -> T + Send,
    ) -> Result<T, ProviderError> {
        let does = self.next(operation);
        let answer = match does {
            Does::Works | Does::WorksSilently => work(&mut self.books.lock().unwrap()),
            Does::Defers => deferred,
            Does::Refuses => refused,
            Does::Hangs | Does::Fails => deferred,
        };
        // Recorded after its effects.
        self.note(operation, key);
        match does {
            Does::WorksSilently | Does::Hangs => std::future::pending().await,
            Does::Fails => Err(ProviderError::Unavailable("down".into())),
            Does::Works | Does::Defers | Does::Refuses => Ok(answer),
        }
    }
}

fn reference(key: Uuid) -> String {
    format!("ref-{key}")
}

#[async_trait]
impl PaymentProvider for Scripted {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, ProviderError> {
        let key = request.idempotency_key;
        let refused = || ChargeOutcome::Declined { reason: "no".to_owned() };
        self.answer("charge", key, ChargeOutcome::Pending, refused(), |books| {
            if books.cancelled.contains(&key) {
                return refused();
            }
            books.captured.insert(key);
            ChargeOutcome::Captured { reference: reference(key) }
        })
        .await
    }

    async fn lookup(&self, key: Uuid) -> Result<ChargeStatus, ProviderError> {
        let refused = ChargeStatus::Declined { reason: "no".to_owned() };
        self.answer("lookup", key, ChargeStatus::Pending, refused, |books| {
            if books.captured.contains(&key) {
                ChargeStatus::Captured { reference: reference(key) }
            } else if books.cancelled.contains(&key) {
                ChargeStatus::Cancelled
            } else {
                ChargeStatus::NotFound
            }
        })
        .await
    }

    async fn cancel(&self, key: Uuid) -> Result<CancelOutcome, ProviderError> {
        let refused = || CancelOutcome::AlreadyDeclined { reason: "no".to_owned() };
        self.answer("cancel", key, refused(), refused(), |books| {
            if books.captured.contains(&key) {
                return CancelOutcome::AlreadyCaptured { reference: reference(key) };
            }
            books.cancelled.insert(key);
            CancelOutcome::Cancelled
        })
        .await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundOutcome, ProviderError> {
        let refused = RefundOutcome::Refused { code: "expired_card".to_owned() };
        let key = request.idempotency_key;
        assert!(self.books.lock().unwrap().captured.contains(&request.charge_key));
        self.answer("refund", key, RefundOutcome::Pending, refused, |books| {
            books.refunded.insert(key);
            RefundOutcome::Refunded { reference: reference(key) }
        })
        .await
    }

    async fn lookup_refund(&self, key: Uuid) -> Result<RefundStatus, ProviderError> {
        self.answer("lookup_refund", key, RefundStatus::Pending, RefundStatus::NotFound, |books| {
            if books.refunded.contains(&key) {
                RefundStatus::Refunded { reference: reference(key) }
            } else {
                RefundStatus::NotFound
            }
        })
        .await
    }
}
