//! Clients that go on asking, whatever becomes of the server, and keep what they were told.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::random::Random;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::server;

/// Longer than a server may be away.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longer than any answer takes; a server that is paused does not answer at all.
const PER_TRY: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) what: What,
    /// The customer or order.
    pub(super) id: String,
    /// `Bascule-Position`: where its event stands at the latest.
    pub(super) position: u64,
    /// Whether it was told at the first try: not that somebody else had done it.
    pub(super) at_once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Registered,
    Placed,
    Cancelled,
}

impl What {
    /// The stream its event is in, and the family of the event.
    pub(super) fn event(self) -> (&'static str, &'static str) {
        match self {
            Self::Registered => ("customer", "customers.CustomerRegistered"),
            Self::Placed => ("order", "orders.OrderPlaced"),
            Self::Cancelled => ("order", "orders.OrderCancelled"),
        }
    }
}

/// Where servers listen now: clients turn to one of them.
pub(super) type Addresses = watch::Receiver<Vec<String>>;

/// Many clients at work.
pub(super) struct Load {
    clients: JoinSet<Vec<Acknowledged>>,
}

impl Load {
    /// Clients that carry out so many operations each. Their keys and choices derive from the
    /// round and the seed.
    pub(super) fn start(
        addresses: &Addresses,
        seed: u64,
        round: u64,
        clients: u64,
        operations: usize,
    ) -> Self {
        let clients = (0..clients)
            .map(|number| {
                let client = Client {
                    name: format!("{seed}-{round}-{number}"),
                    number: usize::try_from(number).unwrap(),
                    random: Random::of(seed, round * 1_000 + number),
                    addresses: addresses.clone(),
                    http: reqwest::Client::builder().timeout(PER_TRY).build().unwrap(),
                    told: Vec::new(),
                };
                client.work(operations)
            })
            .collect();
        Self { clients }
    }

    /// Waits until every client was told what became of everything it asked for.
    pub(super) async fn end(self) -> Vec<Acknowledged> {
        self.clients.join_all().await.concat()
    }
}

struct Client {
    name: String,
    number: usize,
    random: Random,
    addresses: Addresses,
    http: reqwest::Client,
    told: Vec<Acknowledged>,
}

impl Client {
    async fn work(mut self, operations: usize) -> Vec<Acknowledged> {
        for operation in 0..operations {
            let key = format!("{}-{operation}", self.name);
            match self.random.below(100) {
                _ if operation == 0 => self.register(&key).await,
                0..10 => self.register(&key).await,
                10..75 => self.place(&key).await,
                _ => self.cancel(&key).await,
            }
        }
        self.told
    }

    fn told(&mut self, what: What) -> Vec<String> {
        let told = self.told.iter().filter(|told| told.what == what);
        told.map(|told| told.id.clone()).collect()
    }

    async fn register(&mut self, key: &str) {
        let customer = server::customer(&format!("{key}@exemple.fr"));
        self.ask(What::Registered, "/api/v1/customers", &customer, key).await;
    }

    async fn place(&mut self, key: &str) {
        let customers = self.told(What::Registered);
        let methods = ["sandbox:ok", "sandbox:ok", "sandbox:flaky", "sandbox:declined"];
        let method = self.random.one_of(&methods);
        let customer = self.random.one_of(&customers).clone();
        let order = server::order(&customer, method);
        self.ask(What::Placed, "/api/v1/orders", &order, key).await;
    }

    async fn cancel(&mut self, key: &str) {
        let orders = self.told(What::Placed);
        if orders.is_empty() {
            return self.place(key).await;
        }
        let order = self.random.one_of(&orders).clone();
        let path = format!("/api/v1/orders/{order}/cancel");
        self.ask(What::Cancelled, &path, &json!({"reason": "changed my mind"}), key).await;
    }

    /// Asks with the same key until there is an answer, and keeps it.
    async fn ask(&mut self, what: What, path: &str, body: &Value, key: &str) {
        let begun = Instant::now();
        let mut tries = 0;
        let (status, position, answer) = loop {
            if let Some(answer) = self.try_once(path, body, key, tries).await {
                break answer;
            }
            tries += 1;
            assert!(begun.elapsed() < PATIENCE, "POST {path}: no answer to {key}");
            tokio::time::sleep(BETWEEN_TRIES).await;
        };
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        self.told.push(Acknowledged { what, id, position, at_once: tries == 0 });
    }

    /// `None` when it is to be tried again.
    async fn try_once(
        &self,
        path: &str,
        body: &Value,
        key: &str,
        tries: usize,
    ) -> Option<(StatusCode, u64, Value)> {
        let address = {
            let addresses = self.addresses.borrow();
            addresses[(self.number + tries) % addresses.len()].clone()
        };
        let request = self.http.post(format!("{address}{path}")).json(body);
        let response = request.header("Idempotency-Key", key).send().await.ok()?;
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let position = response.headers().get("Bascule-Position");
        let position = position
            .map_or(0, |text| text.to_str().unwrap().split('-').next().unwrap().parse().unwrap());
        // Cut off in the midst of the answer.
        let answer = response.json().await.ok()?;
        Some((status, position, answer))
    }
}
