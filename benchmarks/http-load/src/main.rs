//! Posts the same body over and over on a number of connections, each with one request under way,
//! and prints how many were answered with 201 as one JSON line. Any other answer ends it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Where the server listens, such as 127.0.0.1:8080
    address: String,
    /// What is posted to
    #[arg(long)]
    path: String,
    /// The body of every request
    #[arg(long)]
    body: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut clients = Vec::new();
    for _ in 0..arguments.connections {
        let mut client = Client::connect(&arguments).await?;
        // Warmed, uncounted.
        client.post().await?;
        clients.push(client);
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(arguments.seconds);
    let running: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(client.post_until(end))).collect();
    let mut milliseconds = Vec::new();
    for client in running {
        milliseconds.extend(client.await??);
    }
    let elapsed = begun.elapsed().as_secs_f64();
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
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "longest_ms": milliseconds.last(),
        })
    );
    Ok(())
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    path: String,
    body: Bytes,
}

impl Client {
    async fn connect(arguments: &Arguments) -> Result<Self> {
        let stream = TcpStream::connect(&arguments.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It fails when the server goes away; the request under way then says so.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: arguments.address.clone(),
            path: arguments.path.clone(),
            body: arguments.body.clone().into(),
        })
    }

    async fn post(&mut self) -> Result<()> {
        let request = Request::post(&self.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.body.clone()))?;
        let answer = self.sender.send_request(request).await.context("the server went away")?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(
            status == StatusCode::CREATED,
            "POST {}: {status}: {}",
            self.path,
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    async fn post_until(mut self, end: Instant) -> Result<Vec<f64>> {
        let mut milliseconds = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            self.post().await?;
            milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(milliseconds)
    }
}
