//! A store behind a server of the wire protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kernel::codec::Codec;
use kernel::seams::SystemClock;
use kernel::store::EventStore;
use testkit::stores::{Between, TestStore};
use wire::{AccountSettings, Ownership, Right, Secret, WireServer, WireSettings};

const MODULE: &str = "testing";
/// The streams of the suite: all of them are the module's.
const CATEGORIES: &[&str] = &["a", "b", "c", "hot", "nothing", "own", "rue", "taken", "w"];

/// A store in SQLite that is served, and reached over the network.
pub(crate) async fn served() -> TestStore {
    TestStore::sqlite_behind(Arc::new(Served::default())).await
}

/// The server of the store that is open now.
#[derive(Default)]
pub(crate) struct Served {
    server: Mutex<Option<WireServer>>,
    /// Where it listens: the next one listens there, too.
    address: Mutex<Option<SocketAddr>>,
}

impl Served {
    pub(crate) fn url_of(&self, name: &str, password: &str) -> String {
        let address = self.address.lock().unwrap().unwrap();
        format!("esdb://{name}:{password}@{address}?tls=false&discoveryInterval=20")
    }

    /// Serves a store, and opens it from outside.
    pub(crate) async fn open(&self, opened: &store_sqlx::Opened) -> store_eventstoredb::Opened {
        let account = |rights: &[Right]| AccountSettings {
            password_hash: None,
            password: Some(Secret::new("secret")),
            rights: rights.to_vec(),
        };
        let module = [Right::Read, Right::PersonalData, Right::Module(MODULE.to_owned())];
        let erasing = [&module[..], &[Right::Erase]].concat();
        let listen = "127.0.0.1:0".parse().unwrap();
        let settings = WireSettings {
            listen: Some(listen),
            tls: None,
            accounts: BTreeMap::from([
                (MODULE.to_owned(), account(&module)),
                ("erasing".to_owned(), account(&erasing)),
                ("reader".to_owned(), account(&[Right::Read])),
            ]),
        };
        let served = wire::Served {
            store: Arc::clone(&opened.store),
            codec: Codec::new(Arc::clone(&opened.vault)),
            vault: Arc::clone(&opened.vault),
            clock: Arc::new(SystemClock),
            ownership: Ownership::new(CATEGORIES.iter().map(|category| (*category, MODULE))),
        };
        let server = WireServer::start(&settings, served).await.unwrap();
        *self.address.lock().unwrap() = Some(server.address());
        let before = self.server.lock().unwrap().replace(server);
        if let Some(before) = before {
            before.stop().await;
        }
        store_eventstoredb::open(&self.url_of(MODULE, "secret")).await.unwrap()
    }
}

#[async_trait]
impl Between for Served {
    async fn reach(&self, opened: &store_sqlx::Opened) -> Arc<dyn EventStore> {
        self.open(opened).await.store
    }
}
