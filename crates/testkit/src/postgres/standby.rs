//! Streaming replication: a standby that follows a server, is disconnected, and replaces it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tempfile::TempDir;

use super::{PostgresServer, as_postgres, connect, execute, is_root, run};

const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Polls a server until it answers yes.
async fn until(connection: &mut PgConnection, question: &'static str) {
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut *connection).await.unwrap() {
        assert!(begun.elapsed() < PATIENCE, "{question}: still not");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

impl PostgresServer {
    /// Creates an asynchronous standby of this server with `pg_basebackup`.
    pub async fn standby(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("bascule-postgres-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder.path()));
        }
        let mut copy = as_postgres(&[], "pg_basebackup", folder.path());
        let how = ["--pgdata=data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"];
        run(copy.args(how).arg(format!("--dbname={}", self.url())));
        let standby = Self::launched(folder, self.password.clone()).await;
        let mut connection = connect(&standby.url()).await;
        until(&mut connection, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)").await;
        standby
    }

    /// Waits until a standby has everything that this server has now.
    pub async fn until_followed_by(&self, standby: &Self) {
        let mut primary = connect(&self.url()).await;
        let everything: String = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text")
            .fetch_one(&mut primary)
            .await
            .unwrap();
        let mut connection = connect(&standby.url()).await;
        let has = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn";
        let begun = Instant::now();
        loop {
            let asked = sqlx::query_scalar::<_, bool>(has).bind(&everything);
            if asked.fetch_one(&mut connection).await.unwrap() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the standby does not follow");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Disconnects a standby from its primary, which continues without it.
    pub async fn stop_following(&self) {
        self.set("primary_conninfo", "").await;
        let mut connection = connect(&self.url()).await;
        until(&mut connection, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)").await;
    }

    /// Promotes a standby to primary.
    pub async fn promote(&self) {
        execute(&self.url(), "SELECT pg_promote()").await;
        let mut connection = connect(&self.url()).await;
        until(&mut connection, "SELECT NOT pg_is_in_recovery()").await;
    }

    /// Returns its address.
    pub fn address(&self) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Returns a server on the files in a folder.
    pub(super) async fn launched(folder: TempDir, password: String) -> Self {
        let mut server = Self { folder, password, port: 0, server: None };
        for _ in 0..5 {
            // Free now; if another process takes it first, the next one.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            server.port = listener.local_addr().unwrap().port();
            drop(listener);
            if server.launch().await {
                return server;
            }
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }
}
