//! `docs/states.md`: the result of each command in each state, the sender of each command, and the final
//! states. Generated from the observations of the walk, so that it cannot be out of date.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use kernel::event::RecordedEvent;
use uuid::Uuid;

use super::commands::{Command, PERSON, Target};
use super::course::{Given, Told};
use super::deciders::{self, Given as By};
use super::resting::{self, Rest};

const INTRODUCTION: &str = "\
# Commands and states

For each state of orders, documents, payments and customers: the commands that the API accepts, their \
results, the sender of every command that a module knows, and the final states. `make states` generates \
this page from the observations of the test in `tests/it/walk/`; `make test` fails when the page is out of \
date. The test gives pairs of commands in every order, in every situation of an order, while deadlines pass \
before, between and after them. `make test` runs the pairs that this page follows from and a share of the \
others; `make test-walk` runs all of them, triples and long random sequences, on SQLite and on PostgreSQL.

When all reactions are done,

- per order and in total, invoiced − credited = captured − refunded + open, and the provider's books have \
the same captures and refunds;
- everything is in one of the states of the last table; a state that is not final is left by the command \
that the table names;
- no event is parked, and the numbers of invoices and credit notes have no gap;
- without a command of a person, no invoice of a fulfilled order is voided, and no order that a person \
confirmed is cancelled.
";

/// Returns the page.
pub(super) fn states(all: &[Told], logs: &HashMap<Uuid, Vec<Arc<RecordedEvent>>>) -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Commands of the API\n\n";
    page += "Each cell: the events that the command records and the state that follows, or the problem \
             with which it is refused. Alternatives depend on the other documents and payments of the order.\n";
    let seen = Seen::of(all, logs);
    for target in Target::ALL {
        writeln!(page, "\n### {}\n\n{}", capitalised(target.name()), seen.table(*target)).unwrap();
    }
    page += "\n## Senders of commands\n\n";
    page += "Every command of the modules' deciders, with the senders that the test observed.\n\n";
    page += &who_gives();
    page += "\n## Final states\n\n";
    page += &where_it_rests();
    page
}

/// Fails unless the page in the repository is this one. Writes it if `WRITE_PAGES` is set.
pub(super) fn check(path: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = stored.lines().zip(page.lines()).find(|(stored, now)| stored != now);
    assert!(stored == page, "{path} is out of date: run `make states`. First: {differs:?}");
}

/// The results of commands, by command and state.
struct Seen(BTreeMap<(Command, String), BTreeSet<String>>);

impl Seen {
    fn of(all: &[Told], logs: &HashMap<Uuid, Vec<Arc<RecordedEvent>>>) -> Self {
        let mut seen: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for told in all.iter().filter(|told| told.story.is_in_order()) {
            for given in &told.given {
                let target = given.command.target();
                if let Some(state) = told.before(given).state_of(target) {
                    let outcome = outcome(told, given, &logs[&told.order_id]);
                    seen.entry((given.command, state)).or_default().insert(outcome);
                }
            }
        }
        Self(seen)
    }

    fn table(&self, target: Target) -> String {
        let commands: Vec<_> = Command::all().filter(|one| one.target() == target).collect();
        let states = self.0.keys().filter(|(command, _)| command.target() == target);
        let mut states: Vec<&str> = states.map(|(_, state)| state.as_str()).collect();
        states.sort_by_key(|state| (resting::place(target.name(), state), *state));
        states.dedup();
        let mut table = format!("| |{}\n|---|", heads(&states));
        table += &"---|".repeat(states.len());
        for command in commands {
            write!(table, "\n| {} |", command.label()).unwrap();
            for state in &states {
                let outcomes = self.0.get(&(command, (*state).to_owned()));
                let outcomes: Vec<_> = outcomes.into_iter().flatten().cloned().collect();
                write!(table, " {} |", outcomes.join(" *or* ")).unwrap();
            }
        }
        table
    }
}

fn heads(states: &[&str]) -> String {
    states.iter().map(|state| format!(" {state} |")).collect()
}

/// Returns the result of a command: the events of its request, and the state after them.
fn outcome(told: &Told, given: &Given, log: &[Arc<RecordedEvent>]) -> String {
    if let Some(refused) = &given.outcome.refused {
        return format!("{} {refused}", given.outcome.status);
    }
    let of_request = log.iter().filter(|event| {
        event.metadata.correlation_id == given.correlation_id && &*event.metadata.actor == PERSON
    });
    let names: Vec<_> = of_request.map(|event| name(&event.event_type)).collect();
    if names.is_empty() {
        return "no change".to_owned();
    }
    let state = told.after(given).state_of(given.command.target()).unwrap_or_default();
    format!("{} → {state}", names.join(" + "))
}

/// `orders.OrderPlaced.v1` is an `OrderPlaced`.
fn name(event_type: &str) -> &str {
    event_type.split('.').nth(1).unwrap_or(event_type)
}

fn who_gives() -> String {
    let mut table = "| module | command | sender | event |\n|---|---|---|---|\n".to_owned();
    for (module, command, by) in deciders::all() {
        match by {
            By::Import => writeln!(
                table,
                "| {module} | {command} | the import from a legacy system (not part of this test) | |"
            )
            .unwrap(),
            By::Seen(seen) => {
                for (actor, event) in seen {
                    let actor = match *actor {
                        PERSON => "a person".to_owned(),
                        policy => format!("`{policy}`"),
                    };
                    let event = event.rsplit('.').next().unwrap_or(event);
                    writeln!(table, "| {module} | {command} | {actor} | {event} |").unwrap();
                }
            }
        }
    }
    table
}

fn where_it_rests() -> String {
    let mut table = "| | state | what follows |\n|---|---|---|\n".to_owned();
    for one in resting::ALL {
        let next = match one.rest {
            Rest::End => "final".to_owned(),
            Rest::WhilePaying => {
                "the provider's answer, or the deadline of a payment that is pending".to_owned()
            }
            Rest::Person(commands) => {
                let labels: Vec<_> = commands.iter().map(|command| command.label()).collect();
                format!("a person decides: {}", labels.join(" or "))
            }
        };
        writeln!(table, "| {} | {} | {next} |", one.thing, one.state).unwrap();
    }
    table
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
