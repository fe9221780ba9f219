//! A running module of its own for every test.

use std::sync::Arc;
use std::time::Duration;

use customers::CustomersModule;
use customers::domain::Registration;
use customers::handlers::Customers;
use customers::queries::{self, CustomerView};
use customers_contract::{Address, CustomerKind};
use kernel::event::{EventFilter, Position};
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::seams::{SystemClock, new_id};
use module::NoSettings;
use module::OpenModule;
use testkit::modules::{environment, open};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub const LONG: Duration = Duration::from_secs(10);

pub struct Running {
    pub environment: Environment,
    pub module: OpenModule,
    pub customers: Customers,
    pub progress: Progress,
    stop: CancellationToken,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

impl Running {
    pub async fn start() -> Self {
        let mut running = Self::opened().await;
        running.run();
        running
    }

    /// Begins to follow the log.
    pub fn run(&mut self) {
        for subscription in self.module.subscriptions.drain(..) {
            tokio::spawn(subscription.run(self.stop.clone()));
        }
    }

    /// Takes commands, but does not follow the log yet.
    pub async fn opened() -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("customers.db").display());
        let module = open(&CustomersModule, environment.clone(), &url, NoSettings {}).await;
        let stop = CancellationToken::new();
        Self {
            customers: Customers::new(environment.clone()),
            progress: module.projections[0].1.clone(),
            environment,
            module,
            folder,
            _stop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Whether a text stands anywhere in the module's files, the write-ahead log included.
    pub fn files_hold(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    /// Waits until the directory shows everything up to here.
    pub async fn shown(&self, position: Position) {
        assert!(self.progress.reached(position, LONG).await, "the directory does not catch up");
    }

    /// The customer as the directory shows it once it has caught up.
    pub async fn view(&self, id: Uuid) -> CustomerView {
        self.shown(self.environment.store.head().await.unwrap()).await;
        queries::find(&self.module.database, id).await.unwrap().expect("a customer")
    }

    /// The types of all events of the log, in order, without the module's name.
    pub async fn log(&self) -> Vec<String> {
        let page = self.environment.store.read_log(0, &EventFilter::all(), 1_000).await.unwrap();
        let name = |event_type: &str| event_type.trim_start_matches("customers.").to_owned();
        page.events.iter().map(|event| name(&event.event_type)).collect()
    }
}

pub fn request() -> Cause {
    Cause::request(new_id(), "test")
}

pub fn registration(email: &str) -> Registration {
    Registration {
        customer_id: new_id(),
        kind: CustomerKind::Person,
        name: "Ada Martin".to_owned().into(),
        email: email.to_owned().into(),
        phone: None,
        address: Address {
            line1: "1 rue de la Paix".to_owned(),
            line2: None,
            postal_code: Some("75002".to_owned()),
            city: Some("Paris".to_owned()),
            country: Some("FR".to_owned()),
        }
        .into(),
        vat_number: None,
    }
}
