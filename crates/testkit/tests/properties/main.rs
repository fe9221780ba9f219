//! Properties of every backend, on random logs and requests.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod batches;
mod reading;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Tries a property on so many cases, or on `PROPTEST_CASES`; what fails is made as small as it
/// goes. An assertion inside that fails counts as the case failing.
pub(crate) fn holds<S: Strategy>(cases: u32, strategy: S, property: impl AsyncFn(S::Value)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Takes the variable into account.
    let asked_for = Config::default();
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |_| asked_for.cases);
    let config = Config { cases, failure_persistence: None, ..asked_for };
    let outcome = TestRunner::new(config).run(&strategy, |case| {
        runtime.block_on(property(case));
        Ok::<(), TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
