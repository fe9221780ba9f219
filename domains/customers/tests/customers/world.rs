//! The running module, on a log in memory and with temporary tables.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use customers::CustomersModule;
use customers::domain::Registration;
use customers::handlers::Customers;
use customers::queries::directory;
use customers::view::CustomerView;
use customers_contract::{Address, CustomerKind};
use database::Engine;
use kernel::execution::Cause;
use kernel::seams::{SystemClock, new_id};
use module::NoSettings;
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;

/// The module's read model.
pub const DIRECTORY: &str = "customers.directory";

pub struct World {
    running: Running,
    pub customers: Customers,
    pub tables: TestTables,
}

impl Deref for World {
    type Target = Running;
    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl World {
    /// Starts the module with all of its subscriptions.
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, |_| true).await
    }

    /// Starts the module with only the subscriptions whose name passes.
    pub async fn with(engine: Engine, runs: impl Fn(&str) -> bool) -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        let tables = TestTables::on(engine).await;
        let module = open(&CustomersModule, environment.clone(), tables.url(), NoSettings {}).await;
        let customers = Customers::new(environment.clone());
        Self { running: Running::some(&environment, module, runs), customers, tables }
    }

    /// Returns the view of a customer, once the directory has caught up with the log.
    pub async fn view(&self, id: Uuid) -> CustomerView {
        self.caught_up(DIRECTORY).await;
        directory::find(&self.module.database, id.into()).await.unwrap().expect("a customer")
    }

    /// Returns the types of all events of the log, in order, without the module's name.
    pub async fn story(&self) -> Vec<String> {
        let log = self.log().await.into_iter();
        log.map(|name| name.trim_start_matches("customers.").to_owned()).collect()
    }
}

pub fn request() -> Cause {
    Cause::request(new_id(), "test")
}

pub fn registration(email: &str) -> Registration {
    Registration {
        customer_id: new_id().into(),
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
