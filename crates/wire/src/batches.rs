//! BatchAppend: many appends over one call. Those to one stream are carried out in their order,
//! those to different streams at the same time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{FutureExt as _, Stream, stream};
use kernel::event::StreamName;
use kernel::store::ExpectedRevision;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::accounts::Caller;
use crate::appending::Outcome;
use crate::endpoint::{Endpoint, MOST_APPENDED_BYTES, count};
use crate::expectation::{echoed, of_batch};
use crate::identifiers::{read_stream, read_uuid};
use crate::proposed::{Gathered, Proposed};
use crate::protocol::shared::{self, AllStreamPosition, StreamIdentifier};
use crate::protocol::streams::batch_append_req::options::DeadlineOption;
use crate::protocol::streams::batch_append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::protocol::streams::batch_append_resp::{
    ExpectedStreamPosition, Result as ToldResult, Success,
};
use crate::protocol::streams::{BatchAppendReq, BatchAppendResp, batch_append_req};
use crate::refusal::Refusal;

/// Appends of one call that are carried out or wait for one to the same stream.
const MOST_AT_ONCE: usize = 64;
/// Appends of one call that have begun to come and are not all there.
const MOST_BEGUN: usize = 64;
/// What those may have together, in bytes.
const MOST_BEGUN_BYTES: usize = 4 * MOST_APPENDED_BYTES;
/// How long an append may take at most, whatever its client says.
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);
const USUAL_DEADLINE: Duration = Duration::from_secs(10);

/// What every answer to an append repeats.
#[derive(Debug, Clone)]
struct Echo {
    correlation_id: Option<shared::Uuid>,
    stream: Option<StreamIdentifier>,
    expected: Option<ExpectedStreamPosition>,
}

impl Echo {
    fn answer(self, result: Result<Outcome, Refusal>) -> BatchAppendResp {
        count("batch_append", result.as_ref().err());
        let result = match result {
            Ok(outcome) => ToldResult::Success(success(outcome)),
            Err(refusal) => ToldResult::Error(refusal.to_rpc()),
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

/// An append that is all there.
struct Batch {
    echo: Echo,
    stream: StreamName,
    expected: ExpectedRevision,
    deadline: Duration,
    gathered: Gathered,
}

/// An append of which some events are there.
struct Begun {
    echo: Echo,
    /// An error when it is refused already; what still comes of it is passed over.
    batch: Result<Batch, Refusal>,
}

type Finished = (StreamName, BatchAppendResp);

/// One call.
struct Session {
    endpoint: Arc<Endpoint>,
    caller: Caller,
    requests: Streaming<BatchAppendReq>,
    /// Nothing more will come.
    has_ended: bool,
    begun: HashMap<Uuid, Begun>,
    /// By stream, those that wait for the one that is carried out.
    waiting: HashMap<StreamName, VecDeque<Batch>>,
    busy: HashSet<StreamName>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    unfinished: usize,
}

/// The answers to the appends of one call.
pub(crate) fn session(
    endpoint: Arc<Endpoint>,
    caller: Caller,
    requests: Streaming<BatchAppendReq>,
) -> impl Stream<Item = Result<BatchAppendResp, Status>> + Send {
    let session = Session {
        endpoint,
        caller,
        requests,
        has_ended: false,
        begun: HashMap::new(),
        waiting: HashMap::new(),
        busy: HashSet::new(),
        under_way: FuturesUnordered::new(),
        unfinished: 0,
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
    /// The next answer, `None` when the client has sent all it wants and was told of everything.
    async fn next(&mut self) -> Option<Result<BatchAppendResp, Status>> {
        loop {
            let takes_more = !self.has_ended && self.unfinished < MOST_AT_ONCE;
            if self.has_ended && self.unfinished == 0 {
                return None;
            }
            let stopping = self.endpoint.stopping.clone();
            tokio::select! {
                biased;
                Some((stream, answer)) = self.under_way.next() => {
                    self.finished(&stream);
                    return Some(Ok(answer));
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
                // What is under way is answered first.
                () = stopping.cancelled(), if self.unfinished == 0 => {
                    return Some(Err(Refusal::Stopping.into()));
                }
            }
        }
    }

    /// Takes a piece of an append; answers at once what cannot be carried out.
    fn take(&mut self, message: BatchAppendReq) -> Option<BatchAppendResp> {
        let BatchAppendReq { correlation_id, options, proposed_messages, is_final } = message;
        let id = match read_uuid(correlation_id.clone(), "an append") {
            Ok(id) => id,
            Err(refusal) => {
                let echo = Echo { correlation_id, stream: None, expected: None };
                return Some(echo.answer(Err(refusal)));
            }
        };
        let mut begun = match self.begun.remove(&id) {
            Some(begun) => begun,
            None => self.begin(correlation_id, options),
        };
        if let Ok(batch) = &mut begun.batch {
            let mut events = proposed_messages.into_iter().map(Proposed::from);
            if let Err(refusal) = events.try_for_each(|event| batch.gathered.add(event)) {
                begun.batch = Err(refusal);
            }
        }
        if !is_final {
            self.begun.insert(id, begun);
            return None;
        }
        match begun.batch {
            Ok(batch) => {
                self.carry_out(batch);
                None
            }
            Err(refusal) => Some(begun.echo.answer(Err(refusal))),
        }
    }

    fn begin(
        &self,
        correlation_id: Option<shared::Uuid>,
        options: Option<batch_append_req::Options>,
    ) -> Begun {
        let options = options.unwrap_or_default();
        let expected = of_batch(options.expected_stream_position);
        let echo = Echo {
            correlation_id,
            stream: options.stream_identifier.clone(),
            expected: expected.as_ref().ok().map(|expected| echoed(*expected)),
        };
        let gathered = self.begun.values().filter_map(|begun| begun.batch.as_ref().ok());
        let bytes: usize = gathered.map(|batch| batch.gathered.bytes()).sum();
        if self.begun.len() >= MOST_BEGUN || bytes >= MOST_BEGUN_BYTES {
            return Begun { echo, batch: Err(Refusal::Overloaded) };
        }
        let batch = || {
            Ok(Batch {
                echo: echo.clone(),
                stream: read_stream(options.stream_identifier)?,
                expected: expected?,
                deadline: self.deadline(options.deadline_option),
                gathered: Gathered::default(),
            })
        };
        let batch = batch();
        Begun { echo, batch }
    }

    /// How long an append may take. Some clients send the time of the deadline as a duration.
    fn deadline(&self, given: Option<DeadlineOption>) -> Duration {
        let wanted = match given {
            None => USUAL_DEADLINE,
            Some(DeadlineOption::Deadline(duration)) => {
                Duration::try_from(duration).unwrap_or_default()
            }
            Some(DeadlineOption::Deadline21100(time)) => {
                let now = self.endpoint.clock.now().timestamp_millis();
                let then = time.seconds.saturating_mul(1000) + i64::from(time.nanos) / 1_000_000;
                Duration::from_millis(u64::try_from(then.saturating_sub(now)).unwrap_or_default())
            }
        };
        wanted.min(LONGEST_DEADLINE)
    }

    fn carry_out(&mut self, batch: Batch) {
        self.unfinished += 1;
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
            let Batch { echo, stream, expected, deadline, gathered } = batch;
            let append = endpoint.append(&caller, stream.clone(), expected, gathered);
            let outcome = match tokio::time::timeout(deadline, append).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Refusal::DeadlineExceeded),
            };
            (stream, echo.answer(outcome))
        };
        self.under_way.push(appending.boxed());
    }

    /// Lets the next append to the same stream begin.
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
