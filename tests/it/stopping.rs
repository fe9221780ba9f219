//! A server that is asked to stop ends by itself, whatever its database does.

use testkit::postgres::{PostgresServer, TestDatabase};

use crate::server::Data;

/// A database that does not answer, for as long as this value is there.
struct Frozen<'s>(&'s PostgresServer);

impl<'s> Frozen<'s> {
    fn now(server: &'s PostgresServer) -> Self {
        server.pause();
        Self(server)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_ends_when_it_is_asked_to_though_its_database_is_frozen() {
    let postgres = PostgresServer::start().await;
    let data = Data::within(TestDatabase::create_on(&postgres.url()).await);
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    server.until_ready().await;
    let frozen = Frozen::now(&postgres);
    // By then everything that asks the database again and again waits for its answer.
    server.until_admin_is("/readyz", 503, |body| body.contains("store")).await;
    let ended = server.stop();
    drop(frozen);
    assert!(ended.success(), "{ended}: {}", data.server_log());

    let server = data.serve();
    server.until(&format!("/api/v1/customers/{customer}"), |_| true).await;
}
