//! The calls that clients make first, and unsupported calls.

use eventstore::Error;

use crate::harness::{TestServer, append, client, read, soon};

#[tokio::test]
async fn a_client_of_a_cluster_finds_the_one_node() {
    let server = TestServer::start().await;
    let address = server.server.address();
    // Two seeds, the first without a listener: gossip returns the address of the leader.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = "tls=false&discoveryInterval=20&gossipTimeout=500&nodePreference=leader";
    let cluster = client(&format!("esdb://{nobody},{address}?{options}"));
    append(&cluster, "s", 2).await;
    assert_eq!(soon(read(&cluster, "s")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_client_learns_which_version_is_spoken() {
    let server = TestServer::start().await;
    let info = server.client().server_info().await.unwrap();
    assert_eq!(info.version().to_string(), "24.10.0");
}

#[tokio::test]
async fn what_is_not_spoken_is_unsupported() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 1).await;
    let refused = client.create_persistent_subscription("s", "group", &Default::default()).await;
    assert!(matches!(refused, Err(Error::UnsupportedFeature)), "{refused:?}");
    let refused = client
        .subscribe_to_persistent_subscription("s", "group", &Default::default())
        .await
        .map(drop);
    assert!(matches!(refused, Err(Error::UnsupportedFeature)), "{refused:?}");
}
