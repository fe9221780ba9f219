//! The service `Streams`.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kernel::event::StreamName;
use kernel::store::ExpectedRevision;
use tonic::{Request, Response, Status, Streaming};

use crate::accounts::Caller;
use crate::appending::Outcome;
use crate::calls;
use crate::endpoint::{Endpoint, count};
use crate::expectation::{conflict, of_append, of_delete, of_tombstone};
use crate::filter::Filter;
use crate::identifiers::{UuidForm, read_stream};
use crate::presentation::Presentation;
use crate::proposed::Gathered;
use crate::protocol::shared::Empty;
use crate::protocol::streams::append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::protocol::streams::append_resp::{Position, Result as AppendResult, Success};
use crate::protocol::streams::read_req::Options;
use crate::protocol::streams::read_req::options::all_options::AllOption;
use crate::protocol::streams::read_req::options::stream_options::RevisionOption;
use crate::protocol::streams::read_req::options::uuid_option::Content as WantedUuid;
use crate::protocol::streams::read_req::options::{
    CountOption, FilterOption, ReadDirection, StreamOption,
};
use crate::protocol::streams::streams_server::Streams;
use crate::protocol::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq,
    ReadResp, TombstoneReq, TombstoneResp, append_req, delete_resp, tombstone_resp,
};
use crate::reading::{self, Direction, From, LogRead, StreamRead};
use crate::refusal::Refusal;
use crate::{batches, subscribing};

/// The service `Streams`.
pub(crate) struct StreamsService(pub(crate) Arc<Endpoint>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Events = Pin<Box<dyn Stream<Item = Result<ReadResp, Refusal>> + Send>>;

#[tonic::async_trait]
impl Streams for StreamsService {
    type ReadStream = Answers<ReadResp>;
    type BatchAppendStream = Answers<BatchAppendResp>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let read = |caller: Caller| async move {
            let events = self.events(&caller, request)?;
            Ok((events, self.0.capacity.reader()?))
        };
        let events = self.0.answer(&calls::READ, &extensions, read).await?;
        Ok(events.map(|(events, reader)| -> Self::ReadStream {
            Box::pin(events.map(move |event| {
                let _open = &reader;
                event.map_err(|refusal| {
                    count(calls::READ.metric, Some(&refusal));
                    refusal.into()
                })
            }))
        }))
    }

    async fn append(
        &self,
        request: Request<Streaming<AppendReq>>,
    ) -> Result<Response<AppendResp>, Status> {
        let (_, extensions, mut messages) = request.into_parts();
        let append = |caller: Caller| async move {
            let (stream, expected, gathered) = self.gather(&caller, &mut messages).await?;
            self.0.append(&caller, stream, expected, gathered).await
        };
        let result = match self.0.carry_out(&calls::APPEND, &extensions, append).await {
            Ok(outcome) => AppendResult::Success(success(outcome)),
            // In the response, where the other calls have the error in the trailers.
            Err(Refusal::WrongExpected { expected, actual, .. }) => {
                AppendResult::WrongExpectedVersion(conflict(expected, actual))
            }
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        let (_, extensions, request) = request.into_parts();
        let delete = |caller: Caller| async move {
            let options = request.options.unwrap_or_default();
            let stream = read_stream(options.stream_identifier)?;
            let expected = of_delete(options.expected_stream_revision)?;
            use delete_resp::{Position, PositionOption};
            let position_option = Some(match self.0.delete(&caller, stream, expected).await? {
                Some(position) => PositionOption::Position(Position {
                    commit_position: position,
                    prepare_position: position,
                }),
                None => PositionOption::NoPosition(Empty {}),
            });
            Ok(DeleteResp { position_option })
        };
        self.0.answer(&calls::DELETE, &extensions, delete).await
    }

    async fn tombstone(
        &self,
        request: Request<TombstoneReq>,
    ) -> Result<Response<TombstoneResp>, Status> {
        let (_, extensions, request) = request.into_parts();
        let tombstone = |caller: Caller| async move {
            let options = request.options.unwrap_or_default();
            let stream = read_stream(options.stream_identifier)?;
            let expected = of_tombstone(options.expected_stream_revision)?;
            let position = self.0.tombstone(&caller, stream, expected).await?;
            use tombstone_resp::{Position, PositionOption};
            let position = Position { commit_position: position, prepare_position: position };
            Ok(TombstoneResp { position_option: Some(PositionOption::Position(position)) })
        };
        self.0.answer(&calls::TOMBSTONE, &extensions, tombstone).await
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        let (_, extensions, messages) = request.into_parts();
        let identify = |caller: Caller| async move { Ok(caller) };
        let caller = self.0.carry_out(&calls::BATCH_APPEND, &extensions, identify).await?;
        let received = extensions.get().cloned();
        let answers = batches::session(Arc::clone(&self.0), caller, messages, received);
        Ok(Response::new(Box::pin(answers)))
    }
}

impl StreamsService {
    /// Collects an Append: its stream, and its events, unless the caller may not write the stream.
    async fn gather(
        &self,
        caller: &Caller,
        messages: &mut Streaming<AppendReq>,
    ) -> Result<(StreamName, ExpectedRevision, Gathered), Refusal> {
        use append_req::Content::{Options, ProposedMessage};
        let out_of_order = || {
            Refusal::Invalid(
                "an append must be its options, once, followed by its events".to_owned(),
            )
        };
        let first = messages.message().await?.and_then(|message| message.content);
        let Some(Options(options)) = first else { return Err(out_of_order()) };
        let stream = read_stream(options.stream_identifier)?;
        let expected = of_append(options.expected_stream_revision)?;
        caller.needs_to_write(&stream, &self.0.ownership)?;
        let mut gathered = Gathered::default();
        while let Some(message) = messages.message().await? {
            let Some(ProposedMessage(event)) = message.content else { return Err(out_of_order()) };
            gathered.add(event.try_into()?)?;
        }
        Ok((stream, expected, gathered))
    }

    /// Returns the events that a caller asks to read.
    fn events(&self, caller: &Caller, request: ReadReq) -> Result<Events, Refusal> {
        let options = request.options.unwrap_or_default();
        let direction = match options.read_direction() {
            ReadDirection::Forwards => Direction::Forwards,
            ReadDirection::Backwards => Direction::Backwards,
        };
        let Options {
            stream_option, count_option, filter_option, uuid_option, control_option, ..
        } = options;
        let uuids = match uuid_option.and_then(|option| option.content) {
            Some(WantedUuid::String(_)) => UuidForm::Text,
            Some(WantedUuid::Structured(_)) | None => UuidForm::Structured,
        };
        let with_bounds = control_option.is_some_and(|control| control.compatibility > 0);
        let filter = match filter_option {
            Some(FilterOption::Filter(filter)) => Some(Filter::new(filter)?),
            Some(FilterOption::NoFilter(_)) | None => None,
        };
        let present = Presentation::new(uuids, caller, &self.0.codec);
        let endpoint = Arc::clone(&self.0);
        let source = source(stream_option)?;
        let count = match count_option {
            Some(CountOption::Count(count)) => count,
            Some(CountOption::Subscription(_)) => {
                if direction == Direction::Backwards {
                    let problem = "a subscription must go forwards: use a read to go backwards";
                    return Err(Refusal::Invalid(problem.to_owned()));
                }
                return Ok(match source {
                    Source::Stream(_, _) if filter.is_some() => return Err(no_filter()),
                    Source::Stream(stream, from) => {
                        Box::pin(subscribing::stream(endpoint, stream, from, present))
                    }
                    Source::Log(from) => {
                        Box::pin(subscribing::log(endpoint, from, filter, present))
                    }
                });
            }
            None => {
                let problem = "the number of events is missing: send a count, or subscribe";
                return Err(Refusal::Invalid(problem.to_owned()));
            }
        };
        Ok(match source {
            Source::Stream(_, _) if filter.is_some() => return Err(no_filter()),
            Source::Stream(stream, from) => {
                let read = StreamRead { stream, from, direction, count, with_bounds };
                Box::pin(reading::stream(endpoint, read, present))
            }
            Source::Log(from) => {
                let read = LogRead { from, direction, count, filter, with_bounds };
                Box::pin(reading::log(endpoint, read, present))
            }
        })
    }
}

fn no_filter() -> Refusal {
    Refusal::Invalid("a filter can only be used with $all, not with a stream".to_owned())
}

/// The source of the events, and the start.
enum Source {
    Stream(StreamName, From),
    Log(From),
}

fn source(option: Option<StreamOption>) -> Result<Source, Refusal> {
    match option {
        Some(StreamOption::Stream(options)) => {
            let from = match options.revision_option {
                Some(RevisionOption::Revision(revision)) => From::At(revision),
                Some(RevisionOption::End(_)) => From::End,
                Some(RevisionOption::Start(_)) | None => From::Start,
            };
            Ok(Source::Stream(read_stream(options.stream_identifier)?, from))
        }
        Some(StreamOption::All(options)) => Ok(Source::Log(match options.all_option {
            Some(AllOption::Position(position)) => From::At(position.commit_position),
            Some(AllOption::End(_)) => From::End,
            Some(AllOption::Start(_)) | None => From::Start,
        })),
        None => Err(Refusal::Invalid("the source is missing: send a stream, or all".to_owned())),
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
            None => CurrentRevisionOption::NoStream(Empty {}),
        }),
        position_option: Some(match position {
            Some(position) => PositionOption::Position(Position {
                commit_position: position,
                prepare_position: position,
            }),
            None => PositionOption::NoPosition(Empty {}),
        }),
    }
}
