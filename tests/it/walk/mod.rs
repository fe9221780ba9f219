//! Every pair of commands in every order, from every situation of an order, with deadlines that pass
//! before, between and after them: however people, the payment provider and the clock meet, the
//! amounts agree, nothing waits for an event that nobody will send, and what people decided stands
//! until people change it.
//!
//! The four modules run as they do in the program, composed on a real store, with the built-in payment
//! provider; only the clock is the test's. Commands are given over the modules' routes, and everything
//! that is judged is read over them, from the log and from the provider's books. `docs/states.md` has
//! the tables that follow from it.

mod commands;
mod course;
mod deciders;
mod judgement;
mod pages;
mod rest;
mod resting;
mod standing;
mod stories;
mod system;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use database::Engine;
use kernel::event::RecordedEvent;
use rstest::rstest;
use tokio::task::LocalSet;
use uuid::Uuid;

use self::course::{Account, Told};
use self::judgement::{Books, Sums, Violation};
use self::resting::Rest;
use self::standing::id;
use self::stories::{Share, Step, Story};
use self::system::System;

/// On SQLite each command alone, then every pair of which the first changes something, and a share of
/// those that are given at once; on PostgreSQL a share of all. `make test-walk` walks all of them on both.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_commands_comes_to_rest(#[case] engine: Engine) {
    LocalSet::new()
        .run_until(async {
            match engine {
                Engine::Sqlite => {
                    let mut walked = walk(engine, stories::alone()).await;
                    let pairs = Share::OneOf(3, 0).of_those_that_begin_with(&walked.changing());
                    walked.add(walk(engine, pairs).await);
                    expect_all_of_the_page(&walked);
                }
                Engine::Postgres => {
                    expect_no_findings(&walk(engine, Share::OneOf(9, 1).of_all()).await)
                }
            }
        })
        .await;
}

fn expect_no_findings(walked: &Walked) {
    assert!(walked.findings.is_empty(), "{}", walked.findings);
}

/// What was seen is all that `docs/states.md` has.
fn expect_all_of_the_page(walked: &Walked) {
    expect_no_findings(walked);
    let missing = resting_states_not_left(&walked.all) + &deciders::not_carried_out(&walked.log);
    assert!(missing.is_empty(), "{missing}");
    pages::check("docs/states.md", &pages::states(&walked.all, &walked.logs));
}

#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make test-walk` runs it: it takes minutes"]
async fn all_pairs_triples_and_long_stories_come_to_rest(#[case] engine: Engine) {
    let seed = testkit::random::seed();
    let rounds = std::env::var("ROUNDS").map_or(1, |text| text.parse().unwrap());
    println!("SEED={seed} ROUNDS={rounds}");
    LocalSet::new().run_until(walk_at_length(engine, seed, rounds)).await;
}

/// How many stories share a system in the long form.
const ROUND: usize = 2000;

async fn walk_at_length(engine: Engine, seed: u64, rounds: u64) {
    expect_all_of_the_page(&walk(engine, Share::All.of_all()).await);
    for stories in stories::triples().chunks(ROUND) {
        expect_no_findings(&walk(engine, stories.to_vec()).await);
    }
    for round in 0..rounds {
        let stories = stories::random(seed.wrapping_add(round), ROUND as u64);
        let findings = walk(engine, stories).await.findings;
        assert!(findings.is_empty(), "SEED={seed}, round {round}\n{findings}");
    }
}

/// Stories that were walked, and what was found.
struct Walked {
    all: Vec<Told>,
    /// The whole log.
    log: Vec<Arc<RecordedEvent>>,
    /// The events of each order and everything that belongs to it.
    logs: HashMap<Uuid, Vec<Arc<RecordedEvent>>>,
    /// Everything that is not as it must be.
    findings: String,
}

impl Walked {
    fn add(&mut self, other: Self) {
        self.all.extend(other.all);
        self.log.extend(other.log);
        self.logs.extend(other.logs);
        self.findings += &other.findings;
    }

    /// The steps that changed something, of stories with one step each.
    fn changing(&self) -> HashSet<Step> {
        let changes = |told: &&Told| {
            let step = told.given.last().unwrap().correlation_id;
            let log = &self.logs[&told.order_id];
            log.iter().any(|event| event.metadata.correlation_id == step)
        };
        self.all.iter().filter(changes).filter_map(|told| told.story.first_step()).collect()
    }
}

/// Walks stories and judges them.
#[allow(clippy::print_stdout, reason = "how far it went")]
async fn walk(engine: Engine, stories: Vec<Story>) -> Walked {
    let (begun, count) = (Instant::now(), stories.len());
    let system = System::on(engine).await;
    let all = course::take(&system, stories).await;
    let log = system.log(0).await;
    println!("{count} stories, {} events on {engine} in {:.1?}", log.len(), begun.elapsed());
    let logs = by_order(&log, &all);
    let findings = judge(&system, &all, &logs).await;
    system.stop().await;
    Walked { all, log, logs, findings }
}

/// Everything that is not as it must be, told by the shortest story of each kind.
async fn judge(
    system: &System,
    all: &[Told],
    logs: &HashMap<Uuid, Vec<Arc<RecordedEvent>>>,
) -> String {
    let books = Books::of(system.provider.charges().await.unwrap());
    let mut kinds: BTreeMap<Violation, Vec<&Told>> = BTreeMap::new();
    let mut total = Sums::default();
    for told in all {
        total.add(&Sums::of(told.standing()));
        let mut violations = judgement::of_story(told, &books, &logs[&told.order_id]);
        violations.sort();
        violations.dedup();
        for violation in violations {
            kinds.entry(violation).or_default().push(told);
        }
    }
    let mut findings = String::new();
    for (Violation { rule, found }, stories) in &kinds {
        let shortest = stories.iter().min_by_key(|told| logs[&told.order_id].len()).unwrap();
        let account = Account(shortest, &logs[&shortest.order_id]);
        let count = stories.len();
        writeln!(findings, "\n{rule}\n  {found}\n  in {count} stories, such as\n{account}")
            .unwrap();
    }
    let documents = all.iter().flat_map(|told| told.standing().documents());
    let together = total.violations().into_iter().chain(judgement::of_numbers(documents));
    for Violation { rule, found } in together {
        writeln!(findings, "\n{rule}, in total: {found}").unwrap();
    }
    for (subscription, event) in system.parked().await {
        writeln!(findings, "\nparked by {subscription}: {event}").unwrap();
    }
    findings
}

/// The states that no person was seen to lead out of by the commands that are said to do so.
fn resting_states_not_left(all: &[Told]) -> String {
    let mut missing = String::new();
    for one in resting::ALL {
        let Rest::Person(commands) = one.rest else { continue };
        for command in commands {
            let in_order = all.iter().filter(|told| told.story.is_in_order());
            let mut given = in_order.flat_map(|told| told.given.iter().map(move |one| (told, one)));
            let is_left = given.any(|(told, given)| {
                given.command == *command
                    && given.succeeded()
                    && resting::is_in(told.before(given), one)
                    && !resting::is_in(told.after(given), one)
            });
            if !is_left {
                let (thing, state) = (one.thing, one.state);
                writeln!(missing, "\n{command:?} never led out of {thing} {state}").unwrap();
            }
        }
    }
    missing
}

/// The events of each order and everything that belongs to it, in the order of the log.
fn by_order(log: &[Arc<RecordedEvent>], all: &[Told]) -> HashMap<Uuid, Vec<Arc<RecordedEvent>>> {
    let mut order_of = HashMap::new();
    for told in all {
        let standing = told.standing();
        order_of.insert(told.order_id, told.order_id);
        if told.story.changes_its_customer() {
            order_of.insert(told.customer_id, told.order_id);
        }
        for thing in standing.documents().chain(&standing.payments) {
            order_of.insert(id(thing), told.order_id);
        }
    }
    let mut logs: HashMap<_, Vec<_>> = all.iter().map(|told| (told.order_id, vec![])).collect();
    for event in log {
        let order = event.stream.id().and_then(|id| order_of.get(&id));
        if let Some(events) = order.and_then(|order| logs.get_mut(order)) {
            events.push(Arc::clone(event));
        }
    }
    logs
}
