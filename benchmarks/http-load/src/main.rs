//! Sends the same request over and over on a number of connections, each with one request under way,
//! and prints what became of them as one JSON line. An answer that is neither the wanted one nor, where
//! that is allowed, a refusal for the time being (503) ends it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until};

#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Where the server listens, such as 127.0.0.1:8080
    address: String,
    /// What is asked for
    #[arg(long)]
    path: String,
    /// The body of every request, which is posted; without one it is a GET
    #[arg(long)]
    body: Option<String>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second of all connections together; each has its moment, and its time counts from
    /// then. As many as can be unless set
    #[arg(long)]
    rate: Option<f64>,
    /// Takes 503 for an answer, and waits as long as its Retry-After says
    #[arg(long)]
    refusals: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut clients = Vec::new();
    for number in 0..arguments.connections {
        let mut client = Client::connect(&arguments, number).await?;
        // Warmed, uncounted.
        client.send().await?;
        clients.push(client);
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(arguments.seconds);
    let running: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(client.send_until(begun, end))).collect();
    let mut all = Told::default();
    for client in running {
        let told = client.await??;
        all.milliseconds.extend(told.milliseconds);
        all.refused += told.refused;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let mut milliseconds = all.milliseconds;
    milliseconds.sort_by(f64::total_cmp);
    let percentile = |part: f64| {
        let last = milliseconds.len().checked_sub(1)?;
        milliseconds.get(((milliseconds.len() as f64 * part) as usize).min(last)).copied()
    };
    println!(
        "{}",
        json!({
            "requests": milliseconds.len(),
            "requests_per_s": milliseconds.len() as f64 / elapsed,
            "refused": all.refused,
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "longest_ms": milliseconds.last(),
        })
    );
    Ok(())
}

/// What one connection, or all of them, was answered.
#[derive(Default)]
struct Told {
    /// How long each wanted answer took.
    milliseconds: Vec<f64>,
    refused: u64,
}

enum Answer {
    Wanted,
    /// Not now; after this time it may be tried again.
    Refused(Duration),
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    path: String,
    body: Option<Bytes>,
    refusals: bool,
    /// Time between two moments of this connection, and its first moment.
    every: Option<(Duration, Duration)>,
}

async fn open(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It fails when the server goes away; the request under way then says so.
    tokio::spawn(connection);
    Ok(sender)
}

impl Client {
    async fn connect(arguments: &Arguments, number: usize) -> Result<Self> {
        let sender = open(&arguments.address).await?;
        let every = arguments.rate.map(|rate| {
            let between = Duration::from_secs_f64(1.0 / rate);
            (between * u32::try_from(arguments.connections).unwrap_or(1), between * number as u32)
        });
        Ok(Self {
            sender,
            host: arguments.address.clone(),
            path: arguments.path.clone(),
            body: arguments.body.clone().map(Into::into),
            refusals: arguments.refusals,
            every,
        })
    }

    async fn send(&mut self) -> Result<Answer> {
        let (method, wanted) = match &self.body {
            Some(_) => (Method::POST, StatusCode::CREATED),
            None => (Method::GET, StatusCode::OK),
        };
        let request = Request::builder()
            .method(&method)
            .uri(&self.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.body.clone().unwrap_or_default()))?;
        if self.sender.is_closed() {
            // Idle for a pause that was asked for, longer than the server keeps connections.
            self.sender = open(&self.host).await?;
        }
        let answer = self.sender.send_request(request).await.context("the server went away")?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).cloned();
        let body = answer.into_body().collect().await?.to_bytes();
        if status == wanted {
            return Ok(Answer::Wanted);
        }
        let told = String::from_utf8_lossy(&body);
        ensure!(
            self.refusals && status == StatusCode::SERVICE_UNAVAILABLE,
            "{method} {}: {status}: {told}",
            self.path
        );
        let Some(seconds) = retry_after else { bail!("503 without Retry-After: {told}") };
        Ok(Answer::Refused(Duration::from_secs(seconds.to_str()?.parse()?)))
    }

    async fn send_until(mut self, begun: Instant, end: Instant) -> Result<Told> {
        let mut told = Told::default();
        let mut moment = self.every.map(|(_, first)| begun + first);
        loop {
            if let Some(moment) = moment {
                sleep_until(moment.min(end).into()).await;
            }
            if Instant::now() >= end {
                return Ok(told);
            }
            let begun = moment.unwrap_or_else(Instant::now);
            match self.send().await? {
                Answer::Wanted => told.milliseconds.push(begun.elapsed().as_secs_f64() * 1e3),
                Answer::Refused(pause) => {
                    told.refused += 1;
                    sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
                }
            }
            moment = moment.zip(self.every).map(|(moment, (every, _))| moment + every);
        }
    }
}
