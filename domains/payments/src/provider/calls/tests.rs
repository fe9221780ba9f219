use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::poll;

use super::*;

/// The behaviour of the provider.
#[derive(Clone, Copy)]
enum Mood {
    Working,
    Failing,
    Limiting,
    Silent,
}

/// A provider whose charges and enquiries behave as set by the test. Other operations are not called.
struct Moody {
    mood: Mutex<Mood>,
    calls: AtomicUsize,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), calls: AtomicUsize::new(0) })
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn answer<T>(&self, works: T) -> Result<T, ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Working => Ok(works),
            Mood::Failing => Err(ProviderError::Unavailable("down".into())),
            Mood::Limiting => {
                Err(ProviderError::RateLimited { retry_after: Some(Duration::from_secs(7)) })
            }
            Mood::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl PaymentProvider for Moody {
    async fn charge(&self, _: &ChargeRequest) -> Result<ChargeOutcome, ProviderError> {
        self.answer(ChargeOutcome::Pending).await
    }

    async fn lookup(&self, _: Uuid) -> Result<ChargeStatus, ProviderError> {
        self.answer(ChargeStatus::Pending).await
    }

    async fn cancel(&self, _: Uuid) -> Result<CancelOutcome, ProviderError> {
        unreachable!("only charges and enquiries here")
    }

    async fn refund(&self, _: &RefundRequest) -> Result<RefundOutcome, ProviderError> {
        unreachable!("only charges and enquiries here")
    }

    async fn lookup_refund(&self, _: Uuid) -> Result<RefundStatus, ProviderError> {
        unreachable!("only charges and enquiries here")
    }
}

fn settings(failures: u32) -> PaymentsSettings {
    PaymentsSettings {
        call_timeout_ms: 20,
        breaker: BreakerSettings { failures, first_pause_ms: 300, longest_pause_ms: 300 },
        ..PaymentsSettings::default()
    }
}

fn calls(provider: Arc<dyn PaymentProvider>, settings: &PaymentsSettings) -> Calls {
    Calls::new(provider, settings, Arc::new(kernel::seams::SystemClock))
}

/// At most one charge and one enquiry at once, with a long time-out.
fn one_at_a_time() -> PaymentsSettings {
    PaymentsSettings {
        concurrent_charges: 1,
        concurrent_enquiries: 1,
        call_timeout_ms: 60_000,
        ..settings(10)
    }
}

async fn ask(calls: &Calls) -> Result<ChargeStatus, CallError> {
    calls.lookup(Uuid::nil(), UNTIL_DONE).await
}

async fn charge(calls: &Calls) -> Result<ChargeOutcome, CallError> {
    let request = ChargeRequest {
        idempotency_key: Uuid::nil(),
        payment_id: Uuid::nil().into(),
        amount: "1".parse().unwrap(),
        currency: "EUR".to_owned(),
        method: "card".to_owned(),
    };
    calls.charge(&request, UNTIL_DONE).await
}

#[tokio::test]
async fn a_provider_that_fails_again_and_again_is_left_alone_and_tried_again_later() {
    let provider = Moody::new(Mood::Failing);
    let calls = calls(provider.clone(), &settings(3));
    for _ in 0..3 {
        assert!(matches!(ask(&calls).await, Err(CallError::Provider(_))));
    }
    assert!(matches!(ask(&calls).await, Err(CallError::NotCalled)));
    assert_eq!(provider.calls(), 3, "the open circuit lets no call through");

    provider.becomes(Mood::Working);
    let recovered = async {
        while !matches!(ask(&calls).await, Ok(ChargeStatus::Pending)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.unwrap();
    assert_eq!(provider.calls(), 4);

    // The circuit is closed again, and single failures do not open it.
    provider.becomes(Mood::Failing);
    for _ in 0..2 {
        assert!(matches!(ask(&calls).await, Err(CallError::Provider(_))));
    }
    provider.becomes(Mood::Working);
    assert!(ask(&calls).await.is_ok());
}

#[tokio::test]
async fn an_answer_in_between_begins_the_count_anew() {
    let provider = Moody::new(Mood::Failing);
    let calls = calls(provider.clone(), &settings(2));
    for _ in 0..4 {
        provider.becomes(Mood::Failing);
        assert!(matches!(ask(&calls).await, Err(CallError::Provider(_))));
        provider.becomes(Mood::Working);
        assert!(ask(&calls).await.is_ok());
    }
}

#[tokio::test]
async fn being_asked_to_slow_down_says_when_to_come_back_and_opens_no_circuit() {
    let calls = calls(Moody::new(Mood::Limiting), &settings(1));
    for _ in 0..3 {
        let error = ask(&calls).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn silence_is_a_time_out_and_counts_as_a_failure() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider, &settings(1));
    assert!(matches!(ask(&calls).await, Err(CallError::TimedOut)));
    assert!(matches!(ask(&calls).await, Err(CallError::NotCalled)));
}

#[tokio::test]
async fn charges_without_an_answer_open_no_circuit_unless_the_enquiry_fails_too() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider.clone(), &settings(2));
    for _ in 0..5 {
        assert!(matches!(charge(&calls).await, Err(CallError::TimedOut)));
    }
    provider.becomes(Mood::Failing);
    for _ in 0..5 {
        assert!(matches!(charge(&calls).await, Err(CallError::Provider(_))));
    }
    assert_eq!(provider.calls(), 10, "every one was made");
    // The provider refuses connections, so every call fails.
    for _ in 0..2 {
        assert!(matches!(charge(&calls).await, Err(CallError::Provider(_))));
        assert!(matches!(ask(&calls).await, Err(CallError::Provider(_))));
    }
    assert!(matches!(charge(&calls).await, Err(CallError::NotCalled)));
    assert!(matches!(ask(&calls).await, Err(CallError::NotCalled)));
    assert_eq!(provider.calls(), 14);
}

#[tokio::test]
async fn a_call_cut_short_by_our_own_deadline_says_nothing_about_the_provider() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider.clone(), &settings(1));
    let soon = Some(Instant::now() + Duration::from_millis(5));
    assert!(matches!(calls.lookup(Uuid::nil(), soon).await, Err(CallError::TimedOut)));
    provider.becomes(Mood::Working);
    assert!(ask(&calls).await.is_ok(), "the circuit is still closed");
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_allowed() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider.clone(), &one_at_a_time());
    let soon = Some(Instant::now() + Duration::from_millis(20));
    let second = tokio::select! {
        biased;
        first = ask(&calls) => panic!("the first was answered: {first:?}"),
        second = calls.lookup(Uuid::nil(), soon) => second,
    };
    assert!(matches!(second, Err(CallError::NotCalled)), "it gave up waiting for its turn");
    assert_eq!(provider.calls(), 1);
    // The permit was released with the call.
    provider.becomes(Mood::Working);
    assert!(ask(&calls).await.is_ok());
}

#[tokio::test]
async fn charges_and_enquiries_do_not_wait_for_each_other() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider.clone(), &one_at_a_time());
    let answered = tokio::select! {
        biased;
        first = charge(&calls) => panic!("the charge was answered: {first:?}"),
        answered = async {
            provider.becomes(Mood::Working);
            ask(&calls).await
        } => answered,
    };
    assert!(answered.is_ok(), "{answered:?}");
    provider.becomes(Mood::Silent);
    let answered = tokio::select! {
        biased;
        first = ask(&calls) => panic!("the enquiry was answered: {first:?}"),
        answered = async {
            provider.becomes(Mood::Working);
            charge(&calls).await
        } => answered,
    };
    assert!(answered.is_ok(), "{answered:?}");
}

/// A provider in this process that reports own work or not, and whose charges end when the test says
/// so.
struct Inside {
    at_work: AtomicBool,
    done: Semaphore,
}

#[async_trait]
impl PaymentProvider for Inside {
    async fn charge(&self, _: &ChargeRequest) -> Result<ChargeOutcome, ProviderError> {
        self.done.acquire().await.unwrap().forget();
        Ok(ChargeOutcome::Pending)
    }

    async fn lookup(&self, _: Uuid) -> Result<ChargeStatus, ProviderError> {
        unreachable!("only charges here")
    }

    async fn cancel(&self, _: Uuid) -> Result<CancelOutcome, ProviderError> {
        unreachable!("only charges here")
    }

    async fn refund(&self, _: &RefundRequest) -> Result<RefundOutcome, ProviderError> {
        unreachable!("only charges here")
    }

    async fn lookup_refund(&self, _: Uuid) -> Result<RefundStatus, ProviderError> {
        unreachable!("only charges here")
    }

    fn is_own_work(&self) -> bool {
        self.at_work.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_waits_behind_own_work_waits_for_its_turn() {
    let provider = Arc::new(Inside { at_work: AtomicBool::new(false), done: Semaphore::new(0) });
    let calls = calls(provider.clone(), &one_at_a_time());
    let first = charge(&calls);
    tokio::pin!(first);
    assert!(poll!(&mut first).is_pending());
    assert_eq!(calls.waiting_since(), None, "it has its turn, however long it takes");

    let before = calls.clock.now();
    let second = charge(&calls);
    tokio::pin!(second);
    assert!(poll!(&mut second).is_pending());
    let third = Box::pin(charge(&calls));
    assert_eq!(calls.waiting_since(), None, "the first one waits for an external service");
    provider.at_work.store(true, Ordering::SeqCst);
    let since = calls.waiting_since().unwrap();
    assert!((before..=calls.clock.now()).contains(&since), "{since}");

    drop(third);
    provider.done.add_permits(1);
    first.await.unwrap();
    assert!(poll!(&mut second).is_pending());
    assert_eq!(calls.waiting_since(), None, "now the second one has its turn");
    provider.done.add_permits(1);
    second.await.unwrap();
}

#[tokio::test]
async fn a_service_outside_is_never_waited_for_in_turn() {
    let provider = Moody::new(Mood::Silent);
    let calls = calls(provider, &one_at_a_time());
    let (first, second) = (charge(&calls), charge(&calls));
    tokio::pin!(first, second);
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    assert_eq!(calls.waiting_since(), None);
}
