//! The real binary on throwaway data: started on free ports, stopped by pid, killed when the test
//! ends.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use database::Engine;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;
use testkit::postgres::{TestDatabase, execute};

/// Longer than anything here takes, shorter than the patience of whoever waits for the tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever waits for the server to get somewhere looks this often, and leaves it the processor.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The binary under test.
pub(crate) const BASCULE: &str = env!("CARGO_BIN_EXE_bascule");
const ANY_PORT: &str = "127.0.0.1:0";

/// A server's data, which outlives its process.
pub(crate) struct Data {
    folder: TempDir,
    /// Where events and read models are; in the folder when there is none.
    database: Option<TestDatabase>,
    payment_deadline_ms: u64,
    lease_ms: u64,
    /// Servers so far: each tells its addresses in a file of its own.
    servers: Cell<usize>,
}

impl Data {
    /// In SQLite files. Payments have all the time they need, however busy the machine is.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: None,
            payment_deadline_ms: 600_000,
            lease_ms: 10_000,
            servers: Cell::new(0),
        }
    }

    /// In a PostgreSQL database.
    pub(crate) fn within(database: TestDatabase) -> Self {
        let mut data = Self::new();
        data.database = Some(database);
        data
    }

    /// On either engine.
    pub(crate) async fn on(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self::new(),
            Engine::Postgres => Self::within(TestDatabase::create().await),
        }
    }

    /// Runs statements on the tables of a module, as somebody would who should not.
    pub(crate) async fn execute(&self, module: &str, statements: &str) {
        if let Some(database) = &self.database {
            let statements = format!("SET search_path TO {module}; {statements}");
            return execute(database.url(), &statements).await;
        }
        let mut connection = self.tables_of(module).await;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// A connection to the tables of a module on SQLite.
    pub(crate) async fn tables_of(&self, module: &str) -> SqliteConnection {
        let file = self.path(&format!("bascule.{module}.db"));
        let options = SqliteConnectOptions::new().filename(file);
        options.busy_timeout(PATIENCE).connect().await.unwrap()
    }

    /// Payments expire soon: for tests of what is never paid.
    pub(crate) fn with_short_deadline(mut self) -> Self {
        self.payment_deadline_ms = 1_500;
        self
    }

    /// For how long the others wait for a server that says nothing any more.
    pub(crate) fn with_lease(mut self, lease: Duration) -> Self {
        self.lease_ms = lease.as_millis().try_into().unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite:{}", self.path("bascule.db").display()),
        }
    }

    /// Whether it is in PostgreSQL.
    pub(crate) fn is_in_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// The same log and keys, and nothing that was made of them. No server may be running.
    pub(crate) async fn copy_of_log(&self) -> Self {
        let mut copy = Self::new();
        std::fs::copy(self.path("bascule.key"), copy.path("bascule.key")).unwrap();
        if let Some(database) = &self.database {
            let database = database.copy().await;
            for module in crate::modules::modules() {
                execute(database.url(), &format!("DROP SCHEMA {module} CASCADE")).await;
            }
            copy.database = Some(database);
        } else {
            for file in ["bascule.db", "bascule.db-wal"] {
                if self.path(file).exists() {
                    std::fs::copy(self.path(file), copy.path(file)).unwrap();
                }
            }
        }
        copy
    }

    /// What the servers wrote into their log.
    pub(crate) fn server_log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// The binary with this data's store, to be given a command.
    pub(crate) fn bascule(&self) -> Command {
        self.command(Path::new(BASCULE))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("BASCULE_STORE", self.store())
            .env("BASCULE_MASTER_KEY_FILE", self.path("bascule.key"))
            .env("BASCULE_REPLICA__LEASE_MS", self.lease_ms.to_string())
            .env("BASCULE_PAYMENTS__DEADLINE_MS", self.payment_deadline_ms.to_string())
            .env("BASCULE_PAYMENTS__CALL_TIMEOUT_MS", "300")
            .env("BASCULE_PAYMENTS__FIRST_PAUSE_MS", "20")
            .env("BASCULE_PAYMENTS__LONGEST_PAUSE_MS", "200");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.bascule().args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until a running import has written this many events, or has ended.
    pub(crate) async fn until_log_holds(&self, events: u64, writer: &mut Child) {
        let begun = Instant::now();
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        while writer.try_wait().unwrap().is_none() {
            let tail = self.run(&["events", "tail", "-n", "1", "--json"]);
            let last: Option<Value> = serde_json::from_slice(&tail.stdout).ok();
            if last.is_some_and(|last| last["position"].as_u64().unwrap() >= events) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the import does not get on");
            looks.tick().await;
        }
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        self.start(environment).until_serving()
    }

    /// Serves with the second listener at a certain address.
    pub(crate) fn serve_at(&self, admin_listen: &str, environment: &[(&str, &str)]) -> Server {
        self.start_at(Path::new(BASCULE), ANY_PORT, admin_listen, environment).until_serving()
    }

    /// Serves where a server has been that is gone.
    pub(crate) fn serve_again(&self, gone: &Server, environment: &[(&str, &str)]) -> Server {
        let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let (listen, admin_listen) = (address(&gone.http), address(&gone.admin));
        self.start_at(&gone.program, &listen, &admin_listen, environment).until_serving()
    }

    /// Serves with another binary.
    pub(crate) fn serve_program(&self, program: &Path, environment: &[(&str, &str)]) -> Server {
        self.start_at(program, ANY_PORT, ANY_PORT, environment).until_serving()
    }

    /// Starts a server without waiting for it.
    pub(crate) fn start(&self, environment: &[(&str, &str)]) -> Starting {
        self.start_at(Path::new(BASCULE), ANY_PORT, ANY_PORT, environment)
    }

    fn start_at(
        &self,
        program: &Path,
        listen: &str,
        admin_listen: &str,
        environment: &[(&str, &str)],
    ) -> Starting {
        self.servers.set(self.servers.get() + 1);
        let addresses = self.path(&format!("addresses-{}.json", self.servers.get()));
        let log = self.path("server.log");
        let writer = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(program)
            .args(["serve", "--listen", listen, "--admin-listen", admin_listen])
            .env("BASCULE_ADDRESS_FILE", &addresses)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(writer)
            .spawn()
            .unwrap();
        Starting { program: program.to_owned(), process: Process(child), addresses, log }
    }
}

impl Drop for Data {
    /// Shows what the servers complained of when a test fails: the log goes with the folder.
    #[allow(clippy::print_stdout, reason = "shown when the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.server_log();
            let complaints = log.lines().filter(|line| !line.contains("\"level\":\"INFO\""));
            let complaints: Vec<&str> = complaints.collect();
            let last = complaints.len().saturating_sub(40);
            println!("The servers' last warnings:\n{}", complaints[last..].join("\n"));
        }
    }
}

/// A server's process, which does not outlive the test.
struct Process(Child);

impl Process {
    /// As `kill -9` does it.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server that does not serve yet.
pub(crate) struct Starting {
    program: PathBuf,
    process: Process,
    addresses: PathBuf,
    log: PathBuf,
}

impl Starting {
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn until_serving(mut self) -> Server {
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&self.addresses) {
                let found: Value = serde_json::from_str(&text).unwrap();
                return Server {
                    program: self.program,
                    process: self.process,
                    http: found["http"].as_str().unwrap().to_owned(),
                    admin: found["admin"].as_str().unwrap().to_owned(),
                    wire: found["wire"].as_str().map(str::to_owned),
                    client: client(),
                };
            }
            let ended = self.process.0.try_wait().unwrap();
            let told = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", told());
            assert!(begun.elapsed() < PATIENCE, "the server did not start\n{}", told());
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }
}

/// A client that forgets an idle connection before the server closes it, after 5 seconds: a request
/// that is just being sent would be lost.
fn client() -> reqwest::Client {
    reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap()
}

/// A running server.
pub(crate) struct Server {
    program: PathBuf,
    process: Process,
    pub(crate) http: String,
    pub(crate) admin: String,
    wire: Option<String>,
    client: reqwest::Client,
}

impl Server {
    /// Where clients of EventStoreDB find it, without the rest of the URL.
    pub(crate) fn wire_address(&self) -> String {
        let url = self.wire.as_ref().expect("it listens for clients of EventStoreDB");
        let (_, rest) = url.split_once("://").unwrap();
        rest.split('?').next().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.http)).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// One page of a list, and the path of the next.
    pub(crate) async fn get_page(&self, path: &str) -> (Value, Option<String>) {
        self.get_page_at(path, 0).await
    }

    async fn get_page_at(&self, path: &str, position: u64) -> (Value, Option<String>) {
        let begun = Instant::now();
        let response = loop {
            let request = self.client.get(format!("{}{path}", self.http));
            let request = request.header("Bascule-Min-Position", position);
            let response = request.send().await.unwrap();
            // It waits by itself, for a while.
            if response.status() != 503 || begun.elapsed() > PATIENCE {
                break response;
            }
        };
        assert_eq!(response.status(), 200, "GET {path}");
        let link = response.headers().get("Link").map(|link| {
            let link = link.to_str().unwrap();
            assert!(link.contains("rel=\"next\""), "{link}");
            let url = link.split(['<', '>']).nth(1).unwrap();
            url.strip_prefix(&self.http).unwrap_or(url).to_owned()
        });
        (response.json().await.unwrap(), link)
    }

    /// The position of the last event in the log.
    pub(crate) async fn head(&self) -> u64 {
        let (_, ready) = self.admin("/readyz").await;
        serde_json::from_str::<Value>(&ready).unwrap()["head"].as_u64().unwrap()
    }

    /// Waits until this server runs every subscription.
    pub(crate) async fn until_it_runs_everything(&self) {
        self.until_subscriptions_are("running").await;
    }

    /// Waits until others run every subscription.
    pub(crate) async fn until_it_stands_by(&self) {
        self.until_subscriptions_are("standby").await;
    }

    async fn until_subscriptions_are(&self, state: &str) {
        self.until_admin("/readyz", |body| {
            let body: Value = serde_json::from_str(body).unwrap();
            let subscriptions = body["subscriptions"].as_object().unwrap();
            subscriptions.values().all(|subscription| subscription["state"] == state)
        })
        .await;
    }

    /// Everything that a list shows once it shows what stands at a position of the log.
    pub(crate) async fn all_of(&self, list: &str, position: u64) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = Some(format!("/api/v1/{list}?limit=200"));
        while let Some(path) = next {
            let (page, link) = self.get_page_at(&path, position).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            next = link;
        }
        items
    }

    /// Waits until the read models show what the log holds.
    pub(crate) async fn until_ready(&self) {
        self.until_admin("/readyz", |_| true).await;
    }

    async fn try_admin(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        let response = self.client.get(format!("{}{path}", self.admin)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Asks the second listener again and again until it answers 200 and what is wanted.
    pub(crate) async fn until_admin(&self, path: &str, wanted: impl Fn(&str) -> bool) {
        self.until_admin_is(path, 200, wanted).await;
    }

    /// Asks the second listener again and again until it answers as wanted.
    pub(crate) async fn until_admin_is(
        &self,
        path: &str,
        wanted_status: u16,
        wanted: impl Fn(&str) -> bool,
    ) {
        let begun = Instant::now();
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            let answer = self.try_admin(path).await;
            if answer.as_ref().is_ok_and(|(status, body)| *status == wanted_status && wanted(body))
            {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "GET {path}: still {answer:?}");
            looks.tick().await;
        }
    }

    pub(crate) async fn get_ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// A request that may find the server gone.
    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = self.client.post(format!("{}{path}", self.http)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.try_post(path, body, None).await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn post_ok(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn register_customer(&self, email: &str) -> String {
        let customer = self.post_ok("/api/v1/customers", &customer(email)).await;
        customer["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn place_order(&self, customer_id: &str, payment_method: &str) -> String {
        let order = self.post_ok("/api/v1/orders", &order(customer_id, payment_method)).await;
        order["id"].as_str().unwrap().to_owned()
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            let (status, body) = self.get(path).await;
            if status == 200 && wanted(&body) {
                return body;
            }
            assert!(begun.elapsed() < PATIENCE, "GET {path}: still {status} {body}");
            looks.tick().await;
        }
    }

    pub(crate) async fn order_is(&self, id: &str, status: &str) -> Value {
        self.until(&format!("/api/v1/orders/{id}"), |order| order["status"] == status).await
    }

    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        self.try_admin(path).await.unwrap()
    }

    /// A request to the second listener.
    pub(crate) fn admin_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        // Whoever listens on every address can be reached on this machine's own.
        let base = self.admin.replace("0.0.0.0", "127.0.0.1");
        self.client.request(method, format!("{base}{path}"))
    }

    /// Asks the second listener to do something; the status and the answer.
    pub(crate) async fn admin_do(&self, method: Method, path: &str) -> (u16, Value) {
        let response = self.admin_request(method, path).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }

    /// A request to the API.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.http))
    }

    /// Stops it where it stands; it knows nothing of it.
    pub(crate) fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`].
    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server goes on");
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        self.process.signal(Signal::TERM);
        self.wait_for_end()
    }
}

pub(crate) fn customer(email: &str) -> Value {
    json!({
        "kind": "person",
        "name": "Ada Martin",
        "email": email,
        "address": {
            "line1": "1 rue de la Paix", "postal_code": "75002", "city": "Paris", "country": "FR"
        }
    })
}

pub(crate) fn order(customer_id: &str, payment_method: &str) -> Value {
    json!({
        "customer_id": customer_id,
        "currency": "EUR",
        "payment_method": payment_method,
        "lines": [{
            "sku": "CH-1", "description": "Chaise",
            "quantity": "2", "unit_price": "49.90", "vat_rate": "20"
        }]
    })
}
