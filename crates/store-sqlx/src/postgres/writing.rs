//! Writing of groups of appends.
//!
//! A group is written in rounds. The first round plans it on the assumed heads of its streams and
//! writes it with one optimistic statement: usually that is all. Appends that do not fit, or would be
//! refused because of an assumption, are looked up: conflicts and repetitions are answered from that,
//! because it was the state at some time between request and response. The rest is passed to a function
//! that checks it under the log's lock and writes what fits; if an append is left out there, another
//! process wrote to its stream meanwhile.
//!
//! The lock is never held while the database waits for this process.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kernel::backoff;
use kernel::event::{RecordedEvent, StreamName};
use kernel::outage::Outage;
use kernel::planning::Plan;
use kernel::seams::SharedClock;
use kernel::store::{AppendError, AppendRequest, Appended, BoxError};
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;

use super::batch::{Batch, Fitted, PlannedAppend};
use super::connecting::{Backend, Session, within};
use super::facts::Facts;
use super::failure::{Failure, blames_values};
use super::tail::Tail;
use crate::StoreOptions;
use crate::appender::{Answer, GroupWriter, Job, SharedError};

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    /// A write that changes nothing.
    pub(super) const PROBE: &str =
        "UPDATE log SET created_at = created_at WHERE lock_log() IS NOT NULL";
}

/// Pauses between attempts to reach the database again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a response waits for the follower.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(1);
/// Maximum number of rounds without any result: more than contention explains.
const MOST_FRUITLESS: u32 = 100;

/// Writes groups on a connection of its own, reopened after a failure.
pub(super) struct PostgresWriter {
    connect: PgConnectOptions,
    session: Option<Session>,
    clock: SharedClock,
    tail: Arc<Tail>,
    options: StoreOptions,
    /// Whether the database was unavailable for the last group: the next one fails at once if that is
    /// still so, instead of waiting again.
    failing: bool,
    /// Responses that wait for the follower.
    late: JoinSet<()>,
}

static RETRIED: Outage = Outage::new("appends_retried", "appends to the event store are retried");

impl GroupWriter for PostgresWriter {
    async fn write(&mut self, group: Vec<Job>) {
        let mut group = Group::new(group);
        let patience = if self.failing { Duration::ZERO } else { self.options.patience };
        let deadline = Instant::now() + patience;
        let mut pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut retried = RETRIED.met_by("event store");
        while !group.is_done() {
            match self.round(&mut group).await {
                Ok(()) if group.fruitless == MOST_FRUITLESS => {
                    group.give_up("other processes always write to the same streams first");
                }
                Ok(()) => self.failing = false,
                Err(Failure::Unfit(error)) => {
                    tracing::debug!(%error, "a group of appends did not fit the assumed state; looking it up");
                }
                Err(Failure::Refused(error)) => group.refuse(error),
                Err(Failure::Unavailable(error) | Failure::Unknown(error)) => {
                    self.session = None;
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    if Instant::now() + pause > deadline {
                        self.failing = true;
                        group.give_up(error);
                    } else {
                        retried.occurs(&error);
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    async fn probe(&mut self) -> Result<(), BoxError> {
        let timeout = self.answer_timeout();
        let probed = match self.connection(&mut None).await {
            Ok(session) => {
                within(timeout, sqlx::query(PROBE).execute(&mut session.connection)).await
            }
            Err(error) => Err(error),
        };
        self.failing = probed.is_err();
        if self.failing {
            self.session = None;
        }
        probed?;
        Ok(())
    }

    async fn close(mut self) {
        while self.late.join_next().await.is_some() {}
        if let Some(session) = self.session
            && let Err(error) = session.connection.close().await
        {
            tracing::warn!(%error, "cannot close the writing connection properly");
        }
    }
}

impl PostgresWriter {
    pub(super) fn new(
        connect: PgConnectOptions,
        clock: SharedClock,
        tail: Arc<Tail>,
        options: StoreOptions,
    ) -> Self {
        let (session, failing, late) = (None, false, JoinSet::new());
        Self { connect, session, clock, tail, options, failing, late }
    }

    /// Returns the timeout of a statement: a live server has given up before.
    fn answer_timeout(&self) -> Duration {
        self.options.statement_timeout + Duration::from_secs(1)
    }

    /// Returns the open connection, or a new one; by then a lost server process has ended, so that the
    /// outcome of its transaction is certain.
    async fn connection(
        &mut self,
        lost: &mut Option<Backend>,
    ) -> Result<&mut Session, sqlx::Error> {
        let incarnation = self.tail.incarnation();
        let session = match self.session.take().filter(|open| open.incarnation == incarnation) {
            Some(session) => session,
            None => Session::open(&self.connect, &self.tail).await?,
        };
        let session = self.session.insert(session);
        if let Some(backend) = lost {
            backend.end(&mut session.connection).await?;
            *lost = None;
        }
        Ok(session)
    }

    /// Answers what can be answered, and writes what can be written.
    async fn round(&mut self, group: &mut Group) -> Result<(), Failure> {
        let timeout = self.answer_timeout();
        let (tail, recorded_at) = (Arc::clone(&self.tail), self.clock.now());
        let session = self.connection(&mut group.lost).await.map_err(Failure::Unavailable)?;
        let (connection, incarnation) = (&mut session.connection, session.incarnation);
        let streams = tail.streams(incarnation);
        group.refuse_others_than(incarnation);
        if group.is_done() {
            return Ok(());
        }
        let is_first = group.start_round();
        let appends = group.considered();
        let mut facts = if is_first {
            within(timeout, Facts::guess(appends, &streams, connection)).await
        } else {
            within(timeout, Facts::look_up(appends, &streams, connection)).await
        }
        .map_err(Failure::Unavailable)?;
        let known = std::mem::take(&mut facts.events);
        let mut plan = Plan::new(0, facts.revisions(), known);
        let (verdicts, planned) = judge(&mut plan, &facts, appends);
        let batch = Batch { appends: planned, events: &plan.events, recorded_at };
        let written = if batch.appends.is_empty() {
            Ok(Vec::new())
        } else if is_first {
            within(timeout, batch.write(connection, &facts, &streams)).await.map_err(Failure::of)
        } else {
            let write = batch.write_what_fits(connection, &streams);
            within(timeout, write).await.map_err(Failure::of_checked)
        };
        let written = match written {
            // Whether the log in its current state contains it is unknown.
            Ok(fitted) if !fitted.is_empty() && tail.incarnation() != incarnation => {
                let went_back = "the log was reset while it was written to";
                Err(Failure::Unknown(sqlx::Error::Protocol(went_back.to_owned())))
            }
            written => written,
        };
        if let Err(Failure::Unknown(_)) = written {
            group.lost = self.session.as_ref().map(|session| session.backend);
        }
        let (fitted, result) = match written {
            Ok(fitted) => (fitted, Ok(())),
            Err(failure) => (Vec::new(), Err(failure)),
        };
        let (answers, events) = group.settle(verdicts, fitted, recorded_at);
        self.answer(incarnation, answers, &events);
        result
    }

    /// Sends the callers their results, once readers of this process find the events.
    fn answer(
        &mut self,
        incarnation: u64,
        answers: Vec<(Job, Answer)>,
        events: &[Arc<RecordedEvent>],
    ) {
        let answer = || answers.into_iter().for_each(|(job, answer)| job.answer(answer));
        let Some(last) = events.last() else { return answer() };
        if self.tail.written_here(incarnation, events) {
            return answer();
        }
        while self.late.try_join_next().is_some() {}
        let (tail, last) = (Arc::clone(&self.tail), last.position);
        self.late.spawn(async move {
            let mut head = tail.subscribe();
            let reached = head.wait_for(|head| *head >= last);
            if tokio::time::timeout(FOLLOWED_WITHIN, reached).await.is_err() {
                // The follower is late; callers do not wait for it any longer.
                tail.acknowledged(incarnation, last);
            }
            answer();
        });
    }
}

/// The plan for one append.
enum Verdict {
    /// It is written with the batch.
    Write,
    /// The result is certain.
    Answer(Answer),
    /// It depends on an assumption, or on events that are not written yet.
    Later,
}

fn judge<'a>(
    plan: &mut Plan<'a>,
    facts: &Facts,
    appends: &'a [Pending],
) -> (Vec<Verdict>, Vec<PlannedAppend<'a>>) {
    let mut planned = Vec::new();
    let mut touched: HashSet<&StreamName> = HashSet::new();
    let verdicts = appends.iter().map(|Pending { job, .. }| {
        let requests = &job.requests;
        let names = || requests.iter().map(|request| &request.stream);
        let is_certain =
            facts.are_certain_of(requests) && names().all(|stream| !touched.contains(stream));
        match plan.add(requests) {
            Ok(places) if places.iter().all(|place| !place.repeated) => {
                touched.extend(names());
                planned.push(PlannedAppend { requests, places });
                Verdict::Write
            }
            answer if is_certain => Verdict::Answer(answer),
            _ => Verdict::Later,
        }
    });
    (verdicts.collect(), planned)
}

/// A group in progress.
struct Group {
    pending: Vec<Pending>,
    rounds: u32,
    /// Rounds since the last answer to an append of the group.
    fruitless: u32,
    /// Whether its appends are written one at a time, because one of them is refused.
    one_by_one: bool,
    /// The server process that was lost while it may have been writing.
    lost: Option<Backend>,
}

/// An append without an answer so far.
pub(super) struct Pending {
    pub(super) job: Job,
    /// Whether it was in a batch with an unknown outcome.
    sent: bool,
}

impl Group {
    fn new(jobs: Vec<Job>) -> Self {
        let pending = jobs.into_iter().map(|job| Pending { job, sent: false }).collect();
        Self { pending, rounds: 0, fruitless: 0, one_by_one: false, lost: None }
    }

    fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// Refuses the appends that were decided in another incarnation of the log: they, and their sealed
    /// personal values, rest on events that may be gone. One that was sent may be in the log all the
    /// same.
    fn refuse_others_than(&mut self, incarnation: u64) {
        let outdated = |pending: &mut Pending| pending.job.incarnation != incarnation;
        for Pending { job, sent } in self.pending.extract_if(.., outdated) {
            job.answer(Err(if sent {
                AppendError::OutcomeUnknown(AppendError::WentBack.into())
            } else {
                AppendError::WentBack
            }));
        }
    }

    /// Starts a round; returns whether it is the first: nothing of the group was tried yet.
    fn start_round(&mut self) -> bool {
        self.rounds += 1;
        self.fruitless += 1;
        self.rounds == 1
    }

    /// Returns the appends of the next round.
    fn considered(&self) -> &[Pending] {
        if self.one_by_one { &self.pending[..1] } else { &self.pending }
    }

    /// Removes the appends that a round has decided, and returns their answers with the written events.
    /// `fitted` has the results of the appends to write, in their order; it is empty if the batch was
    /// not, or not certainly, written.
    fn settle(
        &mut self,
        verdicts: Vec<Verdict>,
        fitted: Vec<Fitted>,
        recorded_at: DateTime<Utc>,
    ) -> (Vec<(Job, Answer)>, Vec<Arc<RecordedEvent>>) {
        let mut fitted = fitted.into_iter();
        let mut answers = Vec::new();
        let mut events = Vec::new();
        let rest = self.pending.split_off(verdicts.len());
        for (mut pending, verdict) in std::mem::take(&mut self.pending).into_iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Answer(answer) => Some(answer),
                Verdict::Later => None,
                Verdict::Write => {
                    pending.sent = self.lost.is_some();
                    fitted.next().flatten().map(|written| {
                        let requests = std::mem::take(&mut pending.job.requests);
                        events.extend(recorded(requests, &written, recorded_at));
                        Ok(written)
                    })
                }
            };
            match answer {
                Some(answer) => answers.push((pending.job, answer)),
                None => self.pending.push(pending),
            }
        }
        self.pending.extend(rest);
        if !answers.is_empty() {
            self.fruitless = 0;
        }
        (answers, events)
    }

    /// Handles an error of the database that values of the batch caused.
    fn refuse(&mut self, error: sqlx::Error) {
        if !self.one_by_one && self.pending.len() > 1 {
            self.one_by_one = true;
            return;
        }
        let answer = if blames_values(&error) {
            AppendError::Invalid(format!("the database refuses the append: {error}"))
        } else {
            AppendError::Unavailable(Box::new(error))
        };
        if !self.pending.is_empty() {
            self.pending.remove(0).job.answer(Err(answer));
        }
    }

    fn give_up(&mut self, error: impl Into<BoxError>) {
        let error = SharedError::new(error);
        for Pending { job, sent } in self.pending.drain(..) {
            let error = Box::new(error.clone());
            job.answer(Err(if sent {
                AppendError::OutcomeUnknown(error)
            } else {
                AppendError::Unavailable(error)
            }));
        }
    }
}

/// Returns the events of an append as written to the log. Those of one request are consecutive.
fn recorded(
    requests: Vec<AppendRequest>,
    written: &[Appended],
    recorded_at: DateTime<Utc>,
) -> impl Iterator<Item = Arc<RecordedEvent>> {
    requests.into_iter().zip(written).flat_map(move |(request, last)| {
        let AppendRequest { stream, events, .. } = request;
        let before = events.len() as u64;
        let (position, revision) = (last.position + 1 - before, last.revision + 1 - before);
        events.into_iter().zip(0..).map(move |(event, place)| {
            Arc::new(event.recorded(
                position + place,
                stream.clone(),
                revision + place,
                recorded_at,
            ))
        })
    })
}
