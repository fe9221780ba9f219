//! A failover to an asynchronous standby, under servers that go on: where it lost the end of the log,
//! every subscription stops and says what mends it, nothing of what was lost is believed any more, and
//! `rebuild --all` mends it; where it lost nothing, nothing stops.

use std::net::SocketAddr;

use database::Engine;
use serde_json::Value;
use testkit::postgres::{PostgresServer, TestDatabase};
use testkit::random;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::audit::Audit;
use super::load::Load;
use crate::server::{Data, Server, order};

const MENDED_BY: &str = "bascule projections rebuild --all";

/// Leads to whichever server is the primary, as a host name or a virtual address does.
struct Way {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    accepting: JoinHandle<()>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = watch::Sender::new(server);
        let mut target = to.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let server = *target.borrow_and_update();
                let mut moved = target.clone();
                tokio::spawn(async move {
                    // Refused, or cut: dropping it tells the client.
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = moved.changed() => {}
                    }
                });
            }
        });
        Self { address, to, accepting }
    }

    /// Leads elsewhere from now on; what is open is cut.
    fn lead_to(&self, server: SocketAddr) {
        self.to.send_replace(server);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A primary with a standby, and a way to whichever is the primary.
struct Cluster {
    primary: PostgresServer,
    standby: PostgresServer,
    way: Way,
}

impl Cluster {
    async fn start() -> (Self, Data) {
        let primary = PostgresServer::start().await;
        let database = TestDatabase::create_on(&primary.url()).await;
        let standby = primary.standby().await;
        let way = Way::to(primary.address()).await;
        let data = Data::within(database.through(way.address));
        (Self { primary, standby, way }, data)
    }

    async fn until_standby_has_everything(&self) {
        self.primary.until_followed_by(&self.standby).await;
    }

    /// The primary is gone, and the standby takes its place, with another standby of its own.
    async fn fail_over(&mut self) {
        self.primary.stop_immediately();
        self.standby.promote().await;
        self.way.lead_to(self.standby.address());
        let next = self.standby.standby().await;
        self.primary = std::mem::replace(&mut self.standby, next);
    }
}

/// Places an order, again and again until that is acknowledged.
async fn place(server: &Server, customer: &str, key: &str) -> String {
    loop {
        let body = order(customer, "sandbox:ok");
        let answer = server.try_post("/api/v1/orders", &body, Some(key)).await.unwrap();
        match answer.status().as_u16() {
            201 => {
                let answer: Value = answer.json().await.unwrap();
                return answer["id"].as_str().unwrap().to_owned();
            }
            503 => {}
            status => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
}

/// Places orders that come to their end.
async fn trade(server: &Server, customer: &str, keys: &[&str]) -> Vec<String> {
    let mut orders = Vec::new();
    for key in keys {
        let id = place(server, customer, key).await;
        server.order_is(&id, "confirmed").await;
        orders.push(id);
    }
    orders
}

async fn readiness(server: &Server) -> Value {
    serde_json::from_str(&server.admin("/readyz").await.1).unwrap()
}

/// Everything has stopped, everybody is told of it and by what it is mended, and no lag is hidden.
async fn assert_stopped(data: &Data, server: &Server) {
    let all_stopped = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["subscriptions"]
            .as_object()
            .is_some_and(|all| all.values().all(|one| one["state"] == "stopped"))
    };
    server.until_admin_is("/readyz", 503, all_stopped).await;
    let ready = readiness(server).await;
    assert_eq!(ready["status"], "the log went back", "{ready}");
    assert_eq!(ready["mended_by"], MENDED_BY, "{ready}");
    for (name, projection) in ready["projections"].as_object().unwrap() {
        assert_ne!(projection["lag_events"], 0, "{name}: {ready}");
    }
    let listed = data.run_ok(&["projections", "list", "--json"]);
    for line in listed.lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        assert_eq!(one["state"], "stopped", "{listed}");
    }
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.contains("event_store_went_back_total"), "{metrics}");
}

/// How often a subscription of any server was stopped so far.
fn stops(data: &Data) -> usize {
    data.server_log()
        .lines()
        .filter(|line| line.contains("subscription stopped; it needs an operator"))
        .count()
}

/// The log is whole, the read models show it, and every order in it came to its end.
async fn assert_whole(data: &Data, server: &Server) {
    let mut audit = Audit::default();
    audit.until_settled(data, server).await;
    data.run_ok(&["projections", "verify", "--all"]);
    for order in server.all_of("orders", server.head().await).await {
        assert_eq!(order["status"], "confirmed", "{order}");
    }
}

/// Orders are acknowledged that the standby does not get; it takes over. Where the log ended before.
async fn lose_orders(
    cluster: &mut Cluster,
    server: &Server,
    customer: &str,
    key: &str,
) -> Vec<String> {
    cluster.until_standby_has_everything().await;
    cluster.standby.stop_following().await;
    let keys: Vec<String> = (0..3).map(|number| format!("{key}-{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let lost = trade(server, customer, &keys).await;
    cluster.fail_over().await;
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_the_end_of_the_log_stops_what_saw_it_and_is_mended_twice_in_a_row() {
    let (mut cluster, data) = Cluster::start().await;
    let server = data.serve();
    // Another replica, which finds its way to the new primary only later.
    let slow = Way::to(cluster.primary.address()).await;
    let store = data.store().replace(&cluster.way.address.to_string(), &slow.address.to_string());
    let late = data.serve_with(&[("BASCULE_STORE", &store)]);
    let customer = server.register_customer("ada@exemple.fr").await;
    let kept = trade(&server, &customer, &["a", "b"]).await;
    for round in ["first", "second"] {
        let before = stops(&data);
        let lost = lose_orders(&mut cluster, &server, &customer, round).await;
        assert_stopped(&data, &server).await;
        assert!(stops(&data) > before);
        // Commands are taken meanwhile, on streams that the lost ones must not be mixed up with.
        let meanwhile = place(&server, &customer, &format!("{round}-meanwhile")).await;
        data.run_ok(&["projections", "rebuild", "--all"]);
        server.until_ready().await;
        let told = stops(&data);
        server.order_is(&meanwhile, "confirmed").await;
        trade(&server, &customer, &[&format!("{round}-after")]).await;
        for order in &lost {
            let (status, _) = server.get(&format!("/api/v1/orders/{order}")).await;
            assert_eq!(status, 404);
        }
        for order in &kept {
            server.order_is(order, "confirmed").await;
        }
        // It was mended before the other replica knows of it, which forgets and goes on.
        slow.lead_to(cluster.primary.address());
        late.until_ready().await;
        late.order_is(&meanwhile, "confirmed").await;
        trade(&late, &customer, &[&format!("{round}-late")]).await;
        assert_eq!(stops(&data), told, "the late replica stopped what was mended");
        assert_whole(&data, &server).await;
        // Whoever asks again for what is gone is not told that it was done.
        let again = place(&server, &customer, &format!("{round}-0")).await;
        assert_eq!(again, lost[0], "the id derives from the key");
        server.order_is(&again, "confirmed").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_without_loss_stops_nothing_and_a_server_that_starts_after_one_goes_by_the_log()
{
    let (mut cluster, data) = Cluster::start().await;
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    trade(&server, &customer, &["a", "b"]).await;
    cluster.until_standby_has_everything().await;
    cluster.fail_over().await;
    trade(&server, &customer, &["c"]).await;
    server.until_ready().await;
    assert_eq!(stops(&data), 0);
    assert_whole(&data, &server).await;
    // Its tables went back together with the log, and it remembers nothing else.
    cluster.until_standby_has_everything().await;
    cluster.standby.stop_following().await;
    let lost = trade(&server, &customer, &["d"]).await;
    server.kill();
    cluster.fail_over().await;
    let server = data.serve();
    server.until_ready().await;
    assert_eq!(server.get(&format!("/api/v1/orders/{}", lost[0])).await.0, 404);
    trade(&server, &customer, &["e"]).await;
    assert_eq!(stops(&data), 0);
    assert_whole(&data, &server).await;
}

/// What `docs/operations.md` advises where nothing acknowledged may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_loses_nothing_where_the_standby_is_synchronous() {
    let (mut cluster, data) = Cluster::start().await;
    cluster.primary.set("synchronous_standby_names", "*").await;
    let server = data.serve();
    let (seed, mut audit) = (random::seed(), Audit::default());
    println!("SEED={seed} makes the same choices again");
    let addresses = watch::Sender::new(vec![server.http.clone()]).subscribe();
    let load = Load::start(&addresses, seed, 0, 4, 12);
    // In the middle of it.
    let begun = server.head().await;
    while server.head().await < begun + 40 {
        tokio::task::yield_now().await;
    }
    cluster.fail_over().await;
    let told = load.end().await;
    let (before, after) = told.iter().partition::<Vec<_>, _>(|one| one.position <= begun + 40);
    assert!(!before.is_empty() && !after.is_empty(), "not in the middle of it: {told:?}");
    server.until_ready().await;
    assert_eq!(stops(&data), 0);
    audit.read_on(&data, &server).await;
    audit.compare_with(told);
    audit.until_settled(&data, &server).await;
    audit.compare_with_provider(&data).await;
}

/// As after a crash that lost what was not on the disk yet: rows and checkpoints are behind, the log is not,
/// and the server goes on. What is missing is not taken for what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_go_back_under_a_server_are_not_believed_until_they_are_made_again() {
    let data = Data::on(Engine::Postgres).await;
    let server = data.serve();
    for round in 0..5 {
        let customer = server.register_customer(&format!("{round}@exemple.fr")).await;
        let first = server.place_order(&customer, "sandbox:ok").await;
        server.order_is(&first, "confirmed").await;
        for module in ["orders", "billing"] {
            // All at once: what connects anew finds it so.
            data.execute(
                module,
                &format!(
                    "BEGIN; LOCK TABLE checkpoint, known_customer; \
                     DELETE FROM known_customer; UPDATE checkpoint SET position = 0, event_id = NULL \
                     WHERE subscription LIKE '{module}.known-customers%'; \
                     SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                     WHERE application_name = 'bascule-{module}'; COMMIT"
                ),
            )
            .await;
        }
        let again = place(&server, &customer, &format!("again-{round}")).await;
        server.order_is(&again, "confirmed").await;
    }
    let parked = data.run_ok(&["parked", "list"]);
    assert!(!parked.contains("billing.invoicing"), "{parked}");
}
