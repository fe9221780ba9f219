//! Temporary PostgreSQL: a database per test on the server that `scripts/with-postgres.sh` started, or
//! a server per test for tests that stop it.

mod standby;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kernel::seams::new_id;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tempfile::TempDir;

const SERVER: &str = "BASCULE_TEST_POSTGRES";
const BINARIES: &str = "BASCULE_TEST_POSTGRES_BIN";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "this test needs PostgreSQL: {name} is not set. \
             Run it as: scripts/with-postgres.sh cargo nextest run …"
        )
    })
}

/// Executes statements on a connection of their own.
pub async fn execute(url: &str, statements: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Opens a connection for checks of a database.
pub async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.disable_statement_logging().connect().await.unwrap()
}

/// A database of its own, dropped with this value.
pub struct TestDatabase {
    server: String,
    name: String,
    url: String,
}

impl TestDatabase {
    /// Creates an empty database on the shared server.
    pub async fn create() -> Self {
        Self::create_on(&variable(SERVER)).await
    }

    /// Creates an empty database on a server, given by the URL of one of its databases.
    pub async fn create_on(server: &str) -> Self {
        let name = format!("test_{}", new_id().simple());
        let (before, _) = server.rsplit_once('/').unwrap();
        let url = format!("{before}/{name}");
        execute(server, &format!("CREATE DATABASE {name}")).await;
        Self { server: server.to_owned(), name, url }
    }

    /// Creates a copy on the same server. No session may be connected to this database.
    pub async fn copy(&self) -> Self {
        let name = format!("test_{}", new_id().simple());
        let (before, _) = self.server.rsplit_once('/').unwrap();
        let url = format!("{before}/{name}");
        execute(&self.server, &format!("CREATE DATABASE {name} TEMPLATE {}", self.name)).await;
        Self { server: self.server.clone(), name, url }
    }

    /// Returns the same database, reached at another address.
    #[must_use]
    pub fn through(mut self, address: SocketAddr) -> Self {
        for url in [&mut self.server, &mut self.url] {
            let (before, place) = url.rsplit_once('@').unwrap();
            let (_, database) = place.split_once('/').unwrap();
            *url = format!("{before}@{address}/{database}");
        }
        self
    }

    /// Returns its URL, `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    /// Best effort: a server that is gone took the database with it.
    #[allow(clippy::print_stderr, reason = "a panic here would hide the test's own")]
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // In a thread of its own: this thread may run a runtime, and it may be shutting down.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                // Dropping waits until every process of the server has noticed it, which may take a
                // minute with PostgreSQL 15. After the timeout the database is removed with the server.
                connection.execute("SET statement_timeout = '2s'").await?;
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
                connection.close().await
            })
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("the database {} is left behind: {error}", self.name),
            Err(_) => eprintln!("the database {} is left behind", self.name),
        }
    }
}

/// A PostgreSQL server of its own, for tests that stop, pause or configure it. Ends with this value, or
/// with the thread that started it.
pub struct PostgresServer {
    folder: TempDir,
    password: String,
    port: u16,
    server: Option<Child>,
}

impl PostgresServer {
    /// Starts a server with an empty database `postgres`.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a server with these lines added to its `postgresql.conf`.
    pub async fn start_with(settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("bascule-postgres-").tempdir().unwrap();
        let password = new_id().simple().to_string();
        fs::write(folder.path().join("password"), &password).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            let owner = ["-R", "postgres:postgres"];
            run(Command::new("chown").args(owner).arg(folder.path()));
        }
        let mut initdb = as_postgres(&[], "initdb", folder.path());
        run(initdb.args(["--pgdata=data", "--username=postgres", "--pwfile=password"]).args([
            "--auth-local=reject",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]));
        let configuration = folder.path().join("data/postgresql.conf");
        let given = fs::read_to_string(&configuration).unwrap();
        // A crash of the server keeps the system's cache: there is no need to wait for the disk.
        let own = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n";
        fs::write(&configuration, format!("{given}\n{own}{settings}\n")).unwrap();
        Self::launched(folder, password).await
    }

    /// Returns the URL of its database `postgres`, the same for as long as the server exists.
    pub fn url(&self) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Returns the folder of all its files, including its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it like a crash: no checkpoint, connections cut.
    pub fn stop_immediately(&mut self) {
        if let Some(mut server) = self.server.take() {
            send("QUIT", server.id());
            server.wait().unwrap();
        }
    }

    /// Stops it in order, with a message to its connections.
    pub async fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            send("INT", server.id());
            // Connected tasks of this runtime may have to react: do not block them.
            while server.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Starts it again, at the same address, however it ended.
    pub async fn restart(&mut self) {
        self.stop().await;
        assert!(self.launch().await, "PostgreSQL does not start again: {}", self.log());
    }

    /// Pauses every process of it: connections stay open without responses.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    /// Continues after [`Self::pause`].
    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    /// Changes a setting of the whole server, also for open sessions.
    pub async fn set(&self, name: &str, value: &str) {
        // Two statements: one text with both would be one transaction.
        execute(&self.url(), &format!("ALTER SYSTEM SET {name} = '{value}'")).await;
        execute(&self.url(), "SELECT pg_reload_conf()").await;
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Returns whether it started; it does not if its port was taken meanwhile.
    async fn launch(&mut self) -> bool {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))
            .unwrap();
        // With this it ends when this test is killed.
        let mut server = as_postgres(&["--pdeathsig", "QUIT"], "postgres", self.folder.path())
            .args(["-D", "data", "-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let status = self.folder.path().join("data/postmaster.pid");
        let is_ready = || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            status.lines().any(|line| line.starts_with("ready") || line.starts_with("standby"))
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_ready() {
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "PostgreSQL is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.server = Some(server);
        true
    }

    fn signal_all(&self, signal: &str) {
        let main = self.server.as_ref().unwrap().id();
        send(signal, main);
        // A stopped server process starts no children.
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        for child in children.split_whitespace() {
            // One may have ended by now.
            drop(Command::new("kill").args([&format!("-{signal}"), child]).output());
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // A paused process handles no other signal.
            drop(Command::new("kill").args(["-CONT", &server.id().to_string()]).status());
            drop(Command::new("kill").args(["-QUIT", &server.id().to_string()]).status());
            drop(server.wait());
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Returns the command of a PostgreSQL program in a folder, as a user that it accepts.
fn as_postgres(options: &[&str], program: &str, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.args(options).arg(Path::new(&variable(BINARIES)).join(program)).current_dir(folder);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn send(signal: &str, process: u32) {
    run(Command::new("kill").args([format!("-{signal}"), process.to_string()]));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn one(url: &str) -> Result<i32, sqlx::Error> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await
    }

    #[tokio::test]
    async fn a_database_is_dropped_with_its_value_though_somebody_is_connected() {
        let database = TestDatabase::create().await;
        let url = database.url().to_owned();
        let _connected = connect(&url).await;
        drop(database);
        assert!(one(&url).await.is_err());
    }

    #[tokio::test]
    async fn a_server_can_be_crashed_restarted_paused_and_configured() {
        let mut server = PostgresServer::start().await;
        assert_eq!(one(&server.url()).await.unwrap(), 1);
        server.stop_immediately();
        assert!(one(&server.url()).await.is_err());
        server.restart().await;
        server.pause();
        let url = server.url();
        let paused = one(&url);
        let waited = tokio::time::timeout(Duration::from_millis(100), paused).await;
        assert!(waited.is_err(), "a paused server answers nobody");
        server.resume();
        server.set("default_transaction_read_only", "on").await;
        let mut connection = connect(&url).await;
        let refused = sqlx::raw_sql("CREATE TABLE t ()").execute(&mut connection).await;
        assert!(refused.is_err());
    }
}
