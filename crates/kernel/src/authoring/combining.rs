//! Combining: requests that arrive at the same time are processed together.
//!
//! The caller that has the turn processes all pending requests in their order of arrival and
//! delivers the answers to the other callers (flat combining; Hendler, Incze, Shavit and Tzafrir,
//! 2010). One commit then serves all that wait, instead of limiting the throughput.
//!
//! If the task that has the turn is dropped, no request is lost: the other callers ask again. The
//! dropped task may have done its work nevertheless, so requests must be recognised when they are
//! repeated.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The pending requests and the task that processes them.
#[derive(Debug)]
pub struct Combiner<Q, A> {
    waiting: Mutex<VecDeque<Waiting<Q, A>>>,
    turn: tokio::sync::Mutex<()>,
    most: usize,
}

#[derive(Debug)]
struct Waiting<Q, A> {
    question: Q,
    answer: oneshot::Sender<A>,
}

impl<Q: Clone, A> Combiner<Q, A> {
    /// Creates a combiner that processes at most `most` requests at once, at least 1.
    pub fn new(most: usize) -> Self {
        let (waiting, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { waiting, turn, most: most.max(1) }
    }

    /// Processes a request together with the other pending ones. `all` receives the requests and
    /// returns the answers in the same order; the `all` of any of the callers may run.
    pub async fn ask<F: Future<Output = Vec<A>>>(
        &self,
        question: Q,
        all: impl Fn(Vec<Q>) -> F,
    ) -> A {
        let mut answered = self.wait(question.clone());
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(answer) => return answer,
                    // The task that had the turn was dropped.
                    Err(_) => answered = self.wait(question.clone()),
                },
                _turn = self.turn.lock() => self.answer_all(&all).await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting<Q, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, question: Q) -> oneshot::Receiver<A> {
        let (answer, answered) = oneshot::channel();
        self.waiting().push_back(Waiting { question, answer });
        answered
    }

    /// Called only by the task that has the turn.
    async fn answer_all<F: Future<Output = Vec<A>>>(&self, all: &impl Fn(Vec<Q>) -> F) {
        let (questions, answers) = self.take();
        if questions.is_empty() {
            return;
        }
        for (asked, answer) in answers.into_iter().zip(all(questions).await) {
            // The caller may be gone.
            drop(asked.send(answer));
        }
    }

    /// Returns the next requests that callers still wait for.
    fn take(&self) -> (Vec<Q>, Vec<oneshot::Sender<A>>) {
        let mut waiting = self.waiting();
        let count = waiting.len().min(self.most);
        let asked = waiting.drain(..count).filter(|asked| !asked.answer.is_closed());
        asked.map(|Waiting { question, answer }| (question, answer)).unzip()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    type Runs = Arc<Mutex<Vec<Vec<u32>>>>;

    /// Answers with the double, once the gate lets it.
    async fn doubling(runs: &Runs, gate: &Semaphore, run: Vec<u32>) -> Vec<u32> {
        runs.lock().unwrap().push(run.clone());
        gate.acquire().await.unwrap().forget();
        run.iter().map(|number| number * 2).collect()
    }

    struct Asking {
        combiner: Arc<Combiner<u32, u32>>,
        runs: Runs,
        gate: Arc<Semaphore>,
    }

    impl Asking {
        fn new(most: usize) -> Self {
            let combiner = Arc::new(Combiner::new(most));
            Self { combiner, runs: Runs::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        /// Asks, and returns once that waits.
        async fn ask(&self, number: u32) -> tokio::task::JoinHandle<u32> {
            let (combiner, runs) = (Arc::clone(&self.combiner), Arc::clone(&self.runs));
            let gate = Arc::clone(&self.gate);
            let asking = tokio::spawn(async move {
                combiner.ask(number, |run| doubling(&runs, &gate, run)).await
            });
            // On the one thread of the test it runs until it waits.
            tokio::task::yield_now().await;
            asking
        }

        fn runs(&self) -> Vec<Vec<u32>> {
            self.runs.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_during_a_run_is_done_in_the_next_ones() {
        let asking = Asking::new(2);
        let mut asked = Vec::new();
        for number in 1..=6 {
            asked.push(asking.ask(number).await);
        }
        asking.gate.add_permits(4);
        for (number, answer) in (1..).zip(asked) {
            assert_eq!(answer.await.unwrap(), number * 2);
        }
        assert_eq!(asking.runs(), [vec![1], vec![2, 3], vec![4, 5], vec![6]]);
    }

    #[tokio::test]
    async fn who_is_gone_is_left_out_and_who_had_the_turn_is_replaced() {
        let asking = Asking::new(8);
        let first = asking.ask(1).await;
        let (second, third) = (asking.ask(2).await, asking.ask(3).await);
        second.abort();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        asking.gate.add_permits(1);
        assert_eq!(third.await.unwrap(), 6);
        assert_eq!(asking.runs(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn those_whose_run_was_dropped_ask_again() {
        let asking = Asking::new(8);
        let first = asking.ask(1).await;
        let (second, third) = (asking.ask(2).await, asking.ask(3).await);
        asking.gate.add_permits(1);
        assert_eq!(first.await.unwrap(), 2);
        tokio::task::yield_now().await;
        // It does what the third wants, too.
        assert_eq!(asking.runs(), [vec![1], vec![2, 3]]);
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        asking.gate.add_permits(1);
        assert_eq!(third.await.unwrap(), 6);
        assert_eq!(asking.runs(), [vec![1], vec![2, 3], vec![3]]);
    }
}
