//! BatchAppend: many appends over one call. Appends to one stream are executed in order, appends to
//! different streams concurrently.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{FutureExt as _, Stream, stream};
use kernel::event::StreamName;
use kernel::store::ExpectedRevision;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::accounts::Caller;
use crate::appending::Outcome;
use crate::calls;
use crate::capacity::{Held, Received, merge};
use crate::endpoint::{Endpoint, MOST_APPENDED_BYTES, count};
use crate::expectation::{echoed, of_batch};
use crate::identifiers::{read_stream, read_uuid};
use crate::proposed::Gathered;
use crate::protocol::shared::{self, AllStreamPosition, StreamIdentifier};
use crate::protocol::streams::batch_append_req::options::DeadlineOption;
use crate::protocol::streams::batch_append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::protocol::streams::batch_append_resp::{
    ExpectedStreamPosition, Result as BatchResult, Success,
};
use crate::protocol::streams::{BatchAppendReq, BatchAppendResp, batch_append_req};
use crate::refusal::Refusal;

/// Maximum number of appends of one call that are executing, or queued behind one to the same stream.
const MOST_AT_ONCE: usize = 64;
/// Maximum number of appends of one call that are received in part.
const MOST_BEGUN: usize = 64;
/// Maximum bytes of the latter together, and of the former together.
const MOST_BEGUN_BYTES: usize = 4 * MOST_APPENDED_BYTES;
/// Maximum bytes of a name that a response repeats.
const MOST_ECHOED: usize = 4096;
/// Maximum duration of an append, whatever deadline its client gives.
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);
const USUAL_DEADLINE: Duration = Duration::from_secs(10);

/// The fields that every response to an append repeats.
#[derive(Debug, Clone)]
struct Echo {
    correlation_id: Option<shared::Uuid>,
    stream: Option<StreamIdentifier>,
    expected: Option<ExpectedStreamPosition>,
}

impl Echo {
    /// Also repeats what an append is refused for, so that the client can tell which one it is; except
    /// names that are longer than any valid name, which would only make memory and response larger.
    fn new(
        correlation_id: Option<shared::Uuid>,
        stream: Option<StreamIdentifier>,
        expected: Option<ExpectedStreamPosition>,
    ) -> Self {
        let correlation_id = correlation_id.filter(|id| id.encoded_len() <= MOST_ECHOED);
        let stream = stream.filter(|stream| stream.encoded_len() <= MOST_ECHOED);
        Self { correlation_id, stream, expected }
    }

    fn answer(self, result: Result<Outcome, Refusal>) -> BatchAppendResp {
        count(calls::APPEND_OF_BATCH, result.as_ref().err());
        let result = match result {
            Ok(outcome) => BatchResult::Success(success(outcome)),
            Err(refusal) => BatchResult::Error(refusal.to_rpc()),
        };
        BatchAppendResp {
            correlation_id: self.correlation_id,
            result: Some(result),
            stream_identifier: self.stream,
            expected_stream_position: self.expected,
        }
    }
}

fn success(outcome: Outcome) -> Success {
    let (revision, position) = match outcome {
        Outcome::Appended(appended) => (Some(appended.revision), Some(appended.position)),
        Outcome::Nothing(revision) => (revision, None),
    };
    Success {
        current_revision_option: Some(match revision {
            Some(revision) => CurrentRevisionOption::CurrentRevision(revision),
            None => CurrentRevisionOption::NoStream(()),
        }),
        position_option: Some(match position {
            Some(position) => PositionOption::Position(AllStreamPosition {
                commit_position: position,
                prepare_position: position,
            }),
            None => PositionOption::NoPosition(()),
        }),
    }
}

/// An append, received completely or only as far as its first event.
struct Batch {
    echo: Echo,
    stream: StreamName,
    expected: ExpectedRevision,
    deadline: Instant,
    gathered: Gathered,
    /// Its part of the memory for requests.
    held: Held,
}

/// An append that is not complete yet.
enum Begun {
    Gathering(Batch),
    /// It was answered already; the rest of it is skipped until then.
    Answered(Instant),
}

impl Begun {
    fn ends(&self) -> Instant {
        match self {
            Self::Gathering(batch) => batch.deadline,
            Self::Answered(until) => *until,
        }
    }
}

/// Returns how long an append may take. Some clients send the time of the deadline as a duration, which
/// is then very long and is cut to [`LONGEST_DEADLINE`].
fn patience(given: Option<DeadlineOption>, now: DateTime<Utc>) -> Duration {
    const SECOND: i128 = 1_000_000_000;
    let nanoseconds = |seconds, nanos| i128::from(seconds) * SECOND + i128::from(nanos);
    let wanted = match given {
        None => return USUAL_DEADLINE,
        Some(DeadlineOption::Deadline(duration)) => nanoseconds(duration.seconds, duration.nanos),
        Some(DeadlineOption::Deadline21100(time)) => {
            let now = nanoseconds(now.timestamp(), now.timestamp_subsec_nanos().cast_signed());
            nanoseconds(time.seconds, time.nanos) - now
        }
    };
    let wanted = u64::try_from(wanted.max(0)).unwrap_or(u64::MAX);
    Duration::from_nanos(wanted).min(LONGEST_DEADLINE)
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

struct Finished {
    stream: StreamName,
    bytes: usize,
    answer: BatchAppendResp,
}

/// The state of one call.
struct Session {
    endpoint: Arc<Endpoint>,
    caller: Caller,
    requests: Streaming<BatchAppendReq>,
    received: Option<Received>,
    /// The client sends no more.
    has_ended: bool,
    begun: HashMap<Uuid, Begun>,
    /// By stream: the appends queued behind the one that is executing.
    waiting: HashMap<StreamName, VecDeque<Batch>>,
    busy: HashSet<StreamName>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    unfinished: usize,
    unfinished_bytes: usize,
}

/// Returns the stream of responses to the appends of one call.
pub(crate) fn session(
    endpoint: Arc<Endpoint>,
    caller: Caller,
    requests: Streaming<BatchAppendReq>,
    received: Option<Received>,
) -> impl Stream<Item = Result<BatchAppendResp, Status>> + Send {
    let session = Session {
        endpoint,
        caller,
        requests,
        received,
        has_ended: false,
        begun: HashMap::new(),
        waiting: HashMap::new(),
        busy: HashSet::new(),
        under_way: FuturesUnordered::new(),
        unfinished: 0,
        unfinished_bytes: 0,
    };
    stream::unfold(Some(session), |session| async {
        let mut session = session?;
        match session.next().await {
            Some(Ok(answer)) => Some((Ok(answer), Some(session))),
            Some(Err(status)) => Some((Err(status), None)),
            None => None,
        }
    })
}

impl Session {
    /// Returns the next response; `None` when the client has ended the call and every append is
    /// answered.
    async fn next(&mut self) -> Option<Result<BatchAppendResp, Status>> {
        loop {
            let takes_more = !self.has_ended
                && self.unfinished < MOST_AT_ONCE
                && self.unfinished_bytes < MOST_BEGUN_BYTES;
            if self.has_ended && self.unfinished == 0 {
                return None;
            }
            let stopping = self.endpoint.stopping.clone();
            let earliest = self.begun.values().map(Begun::ends).min();
            tokio::select! {
                biased;
                Some(finished) = self.under_way.next() => {
                    self.unfinished_bytes -= finished.bytes;
                    self.finished(&finished.stream);
                    return Some(Ok(finished.answer));
                }
                () = sleep_until(earliest), if earliest.is_some() => {
                    if let Some(answer) = self.expire() {
                        return Some(Ok(answer));
                    }
                }
                message = self.requests.message(), if takes_more => match message {
                    Ok(Some(message)) => {
                        if let Some(answer) = self.take(message) {
                            return Some(Ok(answer));
                        }
                    }
                    Ok(None) => self.has_ended = true,
                    Err(status) => return Some(Err(status)),
                },
                // Appends in progress are answered first.
                () = stopping.cancelled(), if self.unfinished == 0 => {
                    return Some(Err(Refusal::Stopping.into()));
                }
            }
        }
    }

    /// Takes one message of an append; answers at once an append that cannot be executed.
    fn take(&mut self, message: BatchAppendReq) -> Option<BatchAppendResp> {
        // Released on return unless an append keeps it.
        let held = self.received.as_ref().and_then(Received::take);
        let BatchAppendReq { correlation_id, options, proposed_messages, is_final } = message;
        let id = match read_uuid(correlation_id.clone(), "an append") {
            Ok(id) => id,
            Err(refusal) => {
                let stream = options.and_then(|options| options.stream_identifier);
                let echo = Echo::new(correlation_id, stream, None);
                return Some(echo.answer(Err(refusal)));
            }
        };
        let batch = match self.begun.remove(&id) {
            Some(Begun::Gathering(batch)) => Ok(batch),
            Some(answered @ Begun::Answered(_)) => {
                if !is_final {
                    self.begun.insert(id, answered);
                }
                return None;
            }
            None => self.begin(correlation_id, options.unwrap_or_default()),
        };
        let added = batch.and_then(|mut batch| {
            merge(&mut batch.held, held);
            match self.add(&mut batch, proposed_messages, is_final) {
                Ok(()) => Ok(batch),
                Err(refusal) => Err((batch.echo, refusal)),
            }
        });
        match added {
            Ok(batch) if is_final => self.carry_out(batch),
            Ok(batch) => {
                self.begun.insert(id, Begun::Gathering(batch));
            }
            Err((echo, refusal)) => {
                if !is_final {
                    self.pass_over(id);
                }
                return Some(echo.answer(Err(refusal)));
            }
        }
        None
    }

    /// Refuses at once an append that the caller may not make, before the rest of it arrives.
    fn begin(
        &self,
        correlation_id: Option<shared::Uuid>,
        options: batch_append_req::Options,
    ) -> Result<Batch, (Echo, Refusal)> {
        let expected = of_batch(options.expected_stream_position);
        let stream = read_stream(options.stream_identifier.clone());
        let expectation = expected.as_ref().ok().map(|expected| echoed(*expected));
        let echo = Echo::new(correlation_id, options.stream_identifier, expectation);
        let refused = |refusal| (echo.clone(), refusal);
        let (stream, expected) = (stream.map_err(refused)?, expected.map_err(refused)?);
        self.caller.needs_to_write(&stream, &self.endpoint.ownership).map_err(refused)?;
        let patience = patience(options.deadline_option, self.endpoint.clock.now());
        let deadline = Instant::now() + patience;
        Ok(Batch { echo, stream, expected, deadline, gathered: Gathered::default(), held: None })
    }

    /// Adds events to an append, within the limit for all incomplete appends together.
    fn add(
        &self,
        batch: &mut Batch,
        events: Vec<batch_append_req::ProposedMessage>,
        is_final: bool,
    ) -> Result<(), Refusal> {
        for event in events {
            batch.gathered.add(event.try_into()?)?;
        }
        if is_final {
            return Ok(());
        }
        let (mut begun, mut bytes) = (1, batch.gathered.bytes());
        for other in self.begun.values() {
            if let Begun::Gathering(other) = other {
                begun += 1;
                bytes += other.gathered.bytes();
            }
        }
        if begun > MOST_BEGUN || bytes > MOST_BEGUN_BYTES {
            return Err(Refusal::Busy(
                "too many incomplete appends on this call: send the rest of the others first",
            ));
        }
        Ok(())
    }

    /// Marks an append as answered: messages that still arrive for it do not begin a new one.
    fn pass_over(&mut self, id: Uuid) {
        let answered = |begun: &&Begun| matches!(begun, Begun::Answered(_));
        if self.begun.values().filter(answered).count() >= MOST_BEGUN {
            let oldest = self.begun.iter().filter(|(_, begun)| answered(begun));
            let oldest = oldest.min_by_key(|(_, begun)| begun.ends()).map(|(id, _)| *id);
            oldest.map(|id| self.begun.remove(&id));
        }
        self.begun.insert(id, Begun::Answered(Instant::now() + LONGEST_DEADLINE));
    }

    /// Answers an incomplete append whose deadline has passed.
    fn expire(&mut self) -> Option<BatchAppendResp> {
        let now = Instant::now();
        let passed = self.begun.iter().find(|(_, begun)| begun.ends() <= now);
        let id = passed.map(|(id, _)| *id)?;
        match self.begun.remove(&id)? {
            Begun::Gathering(batch) => {
                self.pass_over(id);
                Some(batch.echo.answer(Err(Refusal::DeadlineExceeded)))
            }
            Begun::Answered(_) => None,
        }
    }

    fn carry_out(&mut self, batch: Batch) {
        self.unfinished += 1;
        self.unfinished_bytes += batch.gathered.bytes();
        if self.busy.contains(&batch.stream) {
            self.waiting.entry(batch.stream.clone()).or_default().push_back(batch);
        } else {
            self.start(batch);
        }
    }

    fn start(&mut self, batch: Batch) {
        self.busy.insert(batch.stream.clone());
        let (endpoint, caller) = (Arc::clone(&self.endpoint), self.caller.clone());
        let appending = async move {
            let Batch { echo, stream, expected, deadline, gathered, held } = batch;
            let bytes = gathered.bytes();
            let append = endpoint.append(&caller, stream.clone(), expected, gathered);
            let outcome = if deadline <= Instant::now() {
                Err(Refusal::DeadlineExceeded)
            } else {
                timeout_at(deadline, append).await.unwrap_or(Err(Refusal::DeadlineExceeded))
            };
            drop(held);
            Finished { stream, bytes, answer: echo.answer(outcome) }
        };
        self.under_way.push(appending.boxed());
    }

    /// Starts the next append to the same stream.
    fn finished(&mut self, stream: &StreamName) {
        self.unfinished -= 1;
        self.busy.remove(stream);
        let Some(waiting) = self.waiting.get_mut(stream) else { return };
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(stream);
        }
        if let Some(batch) = next {
            self.start(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deadline_comes_to_a_time_to_wait() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let for_so_long = |seconds, nanos| {
            let duration = prost_types::Duration { seconds, nanos };
            patience(Some(DeadlineOption::Deadline(duration)), now)
        };
        let until = |seconds, nanos| {
            let time = prost_types::Timestamp { seconds, nanos };
            patience(Some(DeadlineOption::Deadline21100(time)), now)
        };
        assert_eq!(patience(None, now), USUAL_DEADLINE);
        assert_eq!(for_so_long(3, 500_000_000), Duration::from_millis(3_500));
        assert_eq!(until(1_700_000_003, 500_000_000), Duration::from_millis(3_500));
        // The official client in Rust sends the time of the deadline as a duration.
        assert_eq!(for_so_long(1_700_000_003, 0), LONGEST_DEADLINE);
        assert_eq!(until(1_800_000_000, 0), LONGEST_DEADLINE);
        for past in [until(1_600_000_000, 0), for_so_long(-1, 0), for_so_long(0, -1)] {
            assert_eq!(past, Duration::ZERO);
        }
        for nanos in [i32::MIN, -1, 0, 999_999_999, i32::MAX] {
            for seconds in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
                assert!(until(seconds, nanos) <= LONGEST_DEADLINE);
                assert!(for_so_long(seconds, nanos) <= LONGEST_DEADLINE);
            }
        }
    }
}
