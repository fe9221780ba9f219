//! Stories taking their course, all of them side by side on one system.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::test::TestRequest;
use billing::handlers::invoice_of;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use kernel::event::RecordedEvent;
use kernel::seams::new_id;
use payments::payment_of;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::commands::{self, Command, Ids, Outcome, Target};
use super::rest::{PATIENCE, Resting};
use super::standing::{Reader, Standing};
use super::stories::{BEATS, Beat, Story};
use super::system::System;

/// Requests under way at once.
const AT_ONCE: usize = 32;

/// A story that is told.
pub(super) struct Told {
    pub(super) story: Story,
    pub(super) order_id: Uuid,
    pub(super) customer_id: Uuid,
    pub(super) given: Vec<Given>,
    /// How it stood whenever everything had come to rest, by beat.
    pub(super) rested: Vec<(usize, Standing)>,
}

/// A command that was given.
pub(super) struct Given {
    beat: usize,
    pub(super) command: Command,
    /// Names the request, and every event that follows from it.
    pub(super) correlation_id: Uuid,
    pub(super) outcome: Outcome,
}

impl Given {
    pub(super) fn succeeded(&self) -> bool {
        self.outcome.refused.is_none()
    }
}

impl Told {
    /// How it stands in the end.
    pub(super) fn standing(&self) -> &Standing {
        &self.rested.last().unwrap().1
    }

    /// How it stood when a command was given, of a story in which each was given at rest.
    pub(super) fn before(&self, given: &Given) -> &Standing {
        let rested = self.rested.iter().rev().find(|(beat, _)| *beat < given.beat);
        &rested.unwrap().1
    }

    /// How it stood when what followed from a command had come to rest.
    pub(super) fn after(&self, given: &Given) -> &Standing {
        let rested = self.rested.iter().find(|(beat, _)| *beat > given.beat);
        &rested.unwrap().1
    }

    /// What a command is about, as far as it is known yet.
    fn ids(&self, target: Target) -> Ids {
        let known = self.rested.last().and_then(|(_, standing)| standing.ids(target));
        let invoice_id = invoice_of(self.order_id.into());
        known.unwrap_or_else(|| {
            let id = match target {
                Target::Order => self.order_id,
                Target::Invoice => invoice_id.as_uuid(),
                Target::Payment | Target::Refund => payment_of(invoice_id).as_uuid(),
                Target::Customer => self.customer_id,
            };
            Ids { id, refund: None }
        })
    }
}

/// The story as it was, for whoever has to find out why it ended so.
pub(super) struct Account<'a>(pub(super) &'a Told, pub(super) &'a [Arc<RecordedEvent>]);

impl fmt::Display for Account<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(told, log) = self;
        let Story { start, .. } = &told.story;
        writeln!(formatter, "  order {}, {} ({})", told.order_id, start.name, start.method)?;
        let mut given = told.given.iter().peekable();
        let mut last = String::new();
        for (rest, standing) in &told.rested {
            let mut asked = false;
            while let Some(Given { command, outcome: Outcome { status, refused }, .. }) =
                given.next_if(|given| given.beat < *rest)
            {
                asked = true;
                writeln!(
                    formatter,
                    "  ▸ {command:?}: {status} {}",
                    refused.as_deref().unwrap_or("")
                )?;
            }
            let text = standing.to_string();
            if asked || text != last {
                writeln!(formatter, "    at rest (beat {rest}): {text}")?;
                last = text;
            }
        }
        let requests: HashMap<Uuid, Command> =
            told.given.iter().map(|given| (given.correlation_id, given.command)).collect();
        for event in *log {
            let from = requests.get(&event.metadata.correlation_id);
            let from = from.map_or_else(String::new, |command| format!(", from {command:?}"));
            writeln!(
                formatter,
                "    {:>6} {} {} by {}{from}",
                event.position,
                &*event.event_type,
                event.stream.category(),
                &*event.metadata.actor,
            )?;
        }
        Ok(())
    }
}

/// Lets stories take their course through the beats.
pub(super) async fn take(system: &System, stories: Vec<Story>) -> Vec<Told> {
    let shared = register(system).await;
    let mut resting = Resting::default();
    resting.reached(system).await;
    let mut all: Vec<Told> = stream::iter(stories)
        .map(|story| place(system, story, shared))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut reader = Reader::default();
    // The first beat was that of the placing.
    for (number, beat) in BEATS.iter().enumerate().skip(1) {
        match beat {
            Beat::Give => {
                let giving = all.iter_mut().map(|told| told.give(system, number));
                stream::iter(giving).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
            }
            Beat::Deadline => {
                system.pass_deadlines();
                resting.deadlines_passed();
            }
            Beat::Rest => {
                resting.reached(system).await;
                let mut standings = reader.all(&system.api).await;
                for told in &mut all {
                    let standing = standings.remove(&told.order_id).unwrap();
                    told.rested.push((number, standing));
                }
            }
        }
    }
    all
}

async fn register(system: &System) -> Uuid {
    begin(system, "/api/v1/customers", commands::registration()).await
}

/// Begins something as a patient client does: told to try again later, it does so with the same key. A
/// person's keys are made one by one, and a busy machine is no finding.
async fn begin(system: &System, path: &str, body: Value) -> Uuid {
    let (key, deadline) = (new_id().to_string(), Instant::now() + PATIENCE);
    loop {
        let request = TestRequest::post().uri(path).insert_header(("Idempotency-Key", key.clone()));
        let answer = system.api.send(request.set_json(&body)).await;
        if answer.status != 503 || Instant::now() > deadline {
            return answer.is(201).id();
        }
        let seconds = answer.header("retry-after").parse().unwrap();
        sleep(Duration::from_secs(seconds)).await;
    }
}

/// Places the order of a story, with what the story asks at once.
async fn place(system: &System, story: Story, shared: Uuid) -> Told {
    let customer_id = if story.changes_its_customer() { register(system).await } else { shared };
    let order = commands::order(customer_id, story.start.method);
    let order_id = begin(system, "/api/v1/orders", order).await;
    let mut told = Told { story, order_id, customer_id, given: vec![], rested: vec![] };
    told.give(system, 0).await;
    told
}

impl Told {
    /// Gives the commands of a beat, all at once.
    async fn give(&mut self, system: &System, beat: usize) {
        let giving = self.story.at(beat).iter().map(|command| async {
            let (command, correlation_id) = (*command, new_id());
            let ids = self.ids(command.target());
            let outcome = command.give(system, ids, correlation_id).await;
            Given { beat, command, correlation_id, outcome }
        });
        let given = join_all(giving).await;
        self.given.extend(given);
    }
}
