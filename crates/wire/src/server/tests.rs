//! Requests that no well-behaved client sends, sent by hand over HTTP/2.

use std::collections::BTreeMap;
use std::future::Future;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use kernel::codec::Codec;
use kernel::keys::MemoryKeyVault;
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::store::EventStore;
use prost::Message;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::codegen::http;
use uuid::Uuid;

use super::*;
use crate::endpoint::MOST_APPENDED_BYTES;
use crate::identifiers::{UuidForm, read_uuid, uuid};
use crate::ownership::Ownership;
use crate::protocol::shared::{self, Empty, StreamIdentifier};
use crate::protocol::streams::append_req;
use crate::protocol::streams::append_req::options::ExpectedStreamRevision;
use crate::protocol::streams::batch_append_req::options::{DeadlineOption, ExpectedStreamPosition};
use crate::protocol::streams::batch_append_req::{Options, ProposedMessage};
use crate::protocol::streams::{AppendReq, BatchAppendReq, BatchAppendResp, batch_append_resp};
use crate::rights::Right;
use crate::settings::{AccountSettings, Secret};

/// Longer than anything here takes, and shorter than the server waits for calls when it stops.
const SOON: Duration = Duration::from_secs(8);
const STREAMS: &str = "event_store.client.streams.Streams";
const STORE: &str = "bascule.store.v1.Store";

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it takes too long")
}

async fn start_within(bounds: Bounds) -> (WireServer, Arc<dyn EventStore>) {
    let account = |rights: &[Right]| AccountSettings {
        password: Some(Secret::new("x")),
        password_hash: None,
        rights: rights.to_vec(),
    };
    let settings = WireSettings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        tls: None,
        accounts: BTreeMap::from([
            ("reader".to_owned(), account(&[Right::Read])),
            ("writer".to_owned(), account(&[Right::Read, Right::Append])),
            ("orders".to_owned(), account(&[Right::Module("orders".to_owned())])),
        ]),
    };
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let vault = Arc::new(MemoryKeyVault::default());
    let served = Served {
        store: Arc::clone(&store),
        codec: Codec::new(Arc::clone(&vault) as _),
        vault,
        clock: Arc::new(SystemClock),
        ownership: Ownership::new([("order", "orders")]),
    };
    (WireServer::start_within(&settings, served, bounds).await.unwrap(), store)
}

async fn start() -> (WireServer, Arc<dyn EventStore>) {
    start_within(Bounds::default()).await
}

async fn connect(server: &WireServer) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Begins a call and sends nothing of it yet.
async fn begin(
    requests: &SendRequest<Bytes>,
    path: &str,
    name: &str,
    password: &str,
) -> (ResponseFuture, SendStream<Bytes>) {
    let credentials = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let request = http::Request::post(format!("http://localhost/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", credentials)
        .body(())
        .unwrap();
    let mut requests = requests.clone().ready().await.unwrap();
    requests.send_request(request, false).unwrap()
}

/// A message as gRPC frames it.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn send(sending: &mut SendStream<Bytes>, message: &impl Message) {
    sending.send_data(framed(&message.encode_to_vec()), false).unwrap();
}

fn code_in(headers: &http::HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

/// How a call ends.
async fn outcome(response: ResponseFuture) -> Code {
    let response = soon(response).await.unwrap();
    if let Some(code) = code_in(response.headers()) {
        return code;
    }
    let mut body = response.into_body();
    while let Some(data) = soon(body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    code_in(&soon(body.trailers()).await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_that_is_not_in_the_table_is_unimplemented_before_anything_of_it_is_read() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    for path in [format!("{STREAMS}/Undo"), format!("{STORE}/Forget"), "x.Y/Z".to_owned()] {
        let (response, _sending) = begin(&requests, &path, "writer", "x").await;
        assert_eq!(outcome(response).await, Code::Unimplemented, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_read_of_a_call_that_is_refused() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    let path = |service: &str, method: &str| format!("{service}/{method}");
    for (path, name, password, expected) in [
        (path(STORE, "AppendMany"), "orders", "wrong", Code::Unauthenticated),
        (path(STREAMS, "Delete"), "nobody", "x", Code::Unauthenticated),
        (path(STORE, "AppendMany"), "writer", "x", Code::PermissionDenied),
        (path(STREAMS, "Append"), "reader", "x", Code::PermissionDenied),
        (path(STREAMS, "BatchAppend"), "reader", "x", Code::PermissionDenied),
        (path(STREAMS, "Read"), "orders", "x", Code::PermissionDenied),
        (path(STORE, "OpeningKey"), "reader", "x", Code::PermissionDenied),
    ] {
        let (response, _unfinished) = begin(&requests, &path, name, password).await;
        assert_eq!(outcome(response).await, expected, "{path} by {name}");
    }
    server.stop().await;
}

fn append_options(stream: &str) -> AppendReq {
    let options = append_req::Options {
        stream_identifier: Some(StreamIdentifier { stream_name: stream.into() }),
        expected_stream_revision: Some(ExpectedStreamRevision::Any(Empty {})),
    };
    AppendReq { content: Some(append_req::Content::Options(options)) }
}

#[tokio::test]
async fn no_events_are_taken_from_who_may_not_write_the_stream() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    let append = format!("{STREAMS}/Append");
    let (response, mut sending) = begin(&requests, &append, "writer", "x").await;
    send(&mut sending, &append_options("order-1"));
    assert_eq!(outcome(response).await, Code::PermissionDenied);

    let (_sending, mut answers) = {
        let (response, mut sending) = begin(&requests, &batch_append(), "writer", "x").await;
        send(&mut sending, &piece(Uuid::nil(), Some(batch_options("order-1", None)), 0, false));
        (sending, soon(response).await.unwrap().into_body())
    };
    assert_eq!(error_code(&answer(&mut answers).await), Code::PermissionDenied);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_the_clients_mistake() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    for method in ["Read", "Append", "BatchAppend", "Delete"] {
        let path = format!("{STREAMS}/{method}");
        let (response, mut sending) = begin(&requests, &path, "writer", "x").await;
        sending.send_data(framed(&[0xff; 20]), true).unwrap();
        assert_eq!(outcome(response).await, Code::InvalidArgument, "{method}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_appends_nothing_is_small() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    for (service, method, most) in
        [(STREAMS, "Read", 64 * 1024), ("event_store.client.gossip.Gossip", "Read", 1024)]
    {
        let path = format!("{service}/{method}");
        let (response, mut sending) = begin(&requests, &path, "writer", "x").await;
        // More is announced, and never comes.
        let message = framed(&vec![0; 16 * 1024 * 1024]);
        sending.send_data(message.slice(..most + 1), false).unwrap();
        assert_eq!(outcome(response).await, Code::InvalidArgument, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_never_ends_keeps_no_server_from_stopping() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    let append = format!("{STREAMS}/Append");
    let (streamed, mut sending) = begin(&requests, &append, "writer", "x").await;
    send(&mut sending, &append_options("s"));
    let many = format!("{STORE}/AppendMany");
    let (unary, _unary_sending) = begin(&requests, &many, "orders", "x").await;
    // Both are there once a later call is answered.
    let (later, _later_sending) = begin(&requests, &append, "reader", "x").await;
    assert_eq!(outcome(later).await, Code::PermissionDenied);
    soon(server.stop()).await;
    assert_eq!(outcome(streamed).await, Code::Unavailable);
    assert_eq!(outcome(unary).await, Code::Unavailable);
}

fn batch_append() -> String {
    format!("{STREAMS}/BatchAppend")
}

fn batch_options(stream: &str, deadline: Option<Duration>) -> Options {
    let deadline = deadline.map(|deadline| prost_types::Duration {
        seconds: deadline.as_secs().cast_signed(),
        nanos: deadline.subsec_nanos().cast_signed(),
    });
    Options {
        stream_identifier: Some(StreamIdentifier { stream_name: stream.into() }),
        expected_stream_position: Some(ExpectedStreamPosition::Any(())),
        deadline_option: deadline.map(DeadlineOption::Deadline),
    }
}

/// A piece of an append, with an event of so many bytes.
fn piece(id: Uuid, options: Option<Options>, bytes: usize, is_final: bool) -> BatchAppendReq {
    let event = ProposedMessage {
        id: Some(uuid(new_id(), UuidForm::Structured)),
        metadata: [("type".to_owned(), "Counted".to_owned())].into(),
        custom_metadata: Bytes::new(),
        data: vec![7; bytes].into(),
    };
    BatchAppendReq {
        correlation_id: Some(uuid(id, UuidForm::Structured)),
        options,
        proposed_messages: vec![event],
        is_final,
    }
}

/// The next answer of a BatchAppend.
async fn answer(answers: &mut RecvStream) -> BatchAppendResp {
    let mut received = BytesMut::new();
    loop {
        if let Some(length) = received.get(1..5) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if received.len() >= 5 + length {
                assert_eq!(received.len(), 5 + length, "one answer at a time");
                return BatchAppendResp::decode(&received[5..]).unwrap();
            }
        }
        let data = soon(answers.data()).await.expect("the call ended").unwrap();
        answers.flow_control().release_capacity(data.len()).unwrap();
        received.extend_from_slice(&data);
    }
}

fn error_code(answer: &BatchAppendResp) -> Code {
    match answer.result.as_ref().unwrap() {
        batch_append_resp::Result::Error(status) => Code::from_i32(status.code),
        batch_append_resp::Result::Success(_) => Code::Ok,
    }
}

fn id_of(answer: &BatchAppendResp) -> Uuid {
    read_uuid(answer.correlation_id.clone(), "an append").unwrap()
}

#[tokio::test]
async fn an_append_that_is_begun_and_never_ended_is_answered_when_its_deadline_passes() {
    let (server, store) = start().await;
    let requests = connect(&server).await;
    let (response, mut sending) = begin(&requests, &batch_append(), "writer", "x").await;
    let id = new_id();
    let options = batch_options("s", Some(Duration::from_millis(50)));
    send(&mut sending, &piece(id, Some(options), 1, false));
    let mut answers = soon(response).await.unwrap().into_body();
    let told = answer(&mut answers).await;
    assert_eq!((id_of(&told), error_code(&told)), (id, Code::DeadlineExceeded));
    assert_eq!(told.stream_identifier.unwrap().stream_name, b"s");

    // What comes of it later is passed over; others go on.
    send(&mut sending, &piece(id, None, 1, true));
    let other = new_id();
    send(&mut sending, &piece(other, Some(batch_options("s", None)), 1, true));
    let told = answer(&mut answers).await;
    assert_eq!((id_of(&told), error_code(&told)), (other, Code::Ok));
    assert_eq!(store.head().await.unwrap(), 1);
    server.stop().await;
}

/// The client knows by it which of its appends was refused.
#[tokio::test]
async fn what_an_append_is_called_is_told_back_though_it_is_refused() {
    let (server, _) = start().await;
    let requests = connect(&server).await;
    let (response, mut sending) = begin(&requests, &batch_append(), "writer", "x").await;
    let none = Some(shared::Uuid { value: Some(shared::uuid::Value::String("7".to_owned())) });
    let mut unnamed = piece(new_id(), Some(batch_options("s", None)), 1, true);
    unnamed.correlation_id.clone_from(&none);
    send(&mut sending, &unnamed);
    let mut answers = soon(response).await.unwrap().into_body();
    let told = answer(&mut answers).await;
    assert_eq!((&told.correlation_id, error_code(&told)), (&none, Code::InvalidArgument));
    assert_eq!(told.stream_identifier.unwrap().stream_name, b"s");

    let (id, long) = (new_id(), "x".repeat(251));
    send(&mut sending, &piece(id, Some(batch_options(&long, None)), 1, true));
    let told = answer(&mut answers).await;
    assert_eq!((id_of(&told), error_code(&told)), (id, Code::InvalidArgument));
    assert_eq!(told.stream_identifier.unwrap().stream_name, long.as_bytes());
    server.stop().await;
}

#[tokio::test]
async fn all_that_is_begun_on_a_call_is_bounded_whichever_append_grows() {
    const PIECE: usize = 1024 * 1024 - 100;
    let (server, store) = start().await;
    let requests = connect(&server).await;
    let (response, mut sending) = begin(&requests, &batch_append(), "writer", "x").await;
    let ids: Vec<Uuid> = (0..5).map(|_| new_id()).collect();
    let begin = |id| piece(id, Some(batch_options("s", None)), 1, false);
    for id in &ids {
        send(&mut sending, &begin(*id));
    }
    // Each within what an append may have, and four together within what may be begun.
    let pieces = MOST_APPENDED_BYTES / (PIECE + 100) - 1;
    for id in &ids {
        for _ in 0..pieces {
            send(&mut sending, &piece(*id, None, PIECE, false));
        }
    }
    let mut answers = soon(response).await.unwrap().into_body();
    let told = answer(&mut answers).await;
    assert_eq!((id_of(&told), error_code(&told)), (ids[4], Code::ResourceExhausted));
    // What it held is free for the others, which are all there.
    for id in &ids[..4] {
        send(&mut sending, &piece(*id, None, 1, true));
        let told = answer(&mut answers).await;
        assert_eq!((id_of(&told), error_code(&told)), (*id, Code::Ok));
    }
    assert_eq!(store.head().await.unwrap(), 4 * (pieces as u64 + 2));
    server.stop().await;
}

/// Waits until the server closes a connection.
async fn until_closed(stream: &mut TcpStream) {
    let mut received = Vec::new();
    // Closed in order or not: what it sent before is of no interest.
    let _ = soon(stream.read_to_end(&mut received)).await;
}

#[tokio::test]
async fn a_connection_on_which_nobody_is_recognised_is_closed() {
    let bounds = Bounds { most: 10, recognised_within: Duration::from_secs(1) };
    let (server, _) = start_within(bounds).await;
    let known = connect(&server).await;
    let refused = async |requests: &SendRequest<Bytes>, password, expected| {
        let path = format!("{STREAMS}/Append");
        let (response, _unfinished) = begin(requests, &path, "reader", password).await;
        assert_eq!(outcome(response).await, expected);
    };
    // The account may only read, but it is authenticated.
    let read = format!("{STREAMS}/Read");
    let (response, mut sending) = begin(&known, &read, "reader", "x").await;
    sending.send_data(framed(&[]), true).unwrap();
    assert_eq!(outcome(response).await, Code::InvalidArgument);

    let stranger = connect(&server).await;
    refused(&stranger, "wrong", Code::Unauthenticated).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    until_closed(&mut silent).await;
    soon(async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        loop {
            looks.tick().await;
            if stranger.clone().ready().await.is_err() {
                return;
            }
        }
    })
    .await;
    refused(&known, "x", Code::PermissionDenied).await;
    server.stop().await;
}

#[tokio::test]
async fn connections_are_bounded_and_room_is_made_by_those_that_go() {
    let bounds = Bounds { most: 1, ..Bounds::default() };
    let (server, _) = start_within(bounds).await;
    let first = TcpStream::connect(server.address()).await.unwrap();
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    until_closed(&mut second).await;
    drop(first);
    // The server learns of it when it next looks.
    soon(async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        loop {
            looks.tick().await;
            let stream = TcpStream::connect(server.address()).await.unwrap();
            let Ok((requests, connection)) = h2::client::handshake(stream).await else { continue };
            let connection = tokio::spawn(connection);
            let Ok(mut requests) = SendRequest::<Bytes>::ready(requests).await else { continue };
            let request = http::Request::post("http://localhost/none").body(()).unwrap();
            let Ok((response, _)) = requests.send_request(request, true) else { continue };
            if response.await.is_ok() {
                connection.abort();
                return;
            }
        }
    })
    .await;
    server.stop().await;
}
