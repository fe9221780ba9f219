//! Commands on a real aggregate: each client takes one order after the other through its lifecycle, so
//! that of three commands one begins a stream and two use an existing order.

use anyhow::Context as _;
use clap::Args;
use kernel::event::Position;
use kernel::execution::{Cause, Environment};
use kernel::money::Currency;
use kernel::seams::new_id;
use orders::domain::{Command, OrderDecider, PlaceOrder};
use orders_contract::OrderLine;
use rust_decimal::Decimal;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::load::{Client, Load, Measured, Request, closed_loop};
use crate::store::StoreArgs;
use crate::store::refuse_other_stores;
use crate::{ACTOR, Options};

/// Number of clients that fill a log concurrently.
const FILLING: u64 = 64;

/// Options of `bascule-bench command`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    load: Load,
}

pub async fn measure(place: &StoreArgs, arguments: &Arguments) -> anyhow::Result<Measured> {
    place
        .on_the_store(async |environment| {
            refuse_other_stores(&*environment.store, &arguments.options).await?;
            let clients: anyhow::Result<Vec<_>> =
                (0..arguments.load.clients).map(|_| Commander::new(environment)).collect();
            closed_loop(clients?, arguments.load).await
        })
        .await
}

/// Takes orders through their lifecycle until the log has at least this many more events.
pub async fn fill(environment: &Environment, events: u64) -> anyhow::Result<()> {
    let mut filling = JoinSet::new();
    for _ in 0..FILLING {
        let mut commander = Commander::new(environment)?;
        filling.spawn(async move {
            for _ in 0..events.div_ceil(FILLING) {
                commander.next_command().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled?.context("cannot fill the log")?;
    }
    Ok(())
}

/// Sends commands to one order after the other.
pub struct Commander {
    environment: Environment,
    customer: Uuid,
    currency: Currency,
    order: Uuid,
    next: Next,
}

enum Next {
    Place,
    Confirm,
    Fulfil,
}

impl Commander {
    pub fn new(environment: &Environment) -> anyhow::Result<Self> {
        Ok(Self {
            environment: environment.clone(),
            customer: new_id(),
            currency: Currency::from_code("EUR").context("the currency EUR is unknown")?,
            order: Uuid::nil(),
            next: Next::Place,
        })
    }

    /// Places a new order.
    pub async fn place(&mut self) -> anyhow::Result<Position> {
        self.order = new_id();
        let request = order(self.order, self.customer, self.currency);
        self.next = Next::Confirm;
        self.execute(Command::Place(request)).await
    }

    /// Advances the order to its next stage, or places the next one.
    async fn next_command(&mut self) -> anyhow::Result<Position> {
        match self.next {
            Next::Place => self.place().await,
            Next::Confirm => {
                self.next = Next::Fulfil;
                self.execute(Command::ConfirmPaid).await
            }
            Next::Fulfil => {
                self.next = Next::Place;
                self.execute(Command::Fulfil).await
            }
        }
    }

    async fn execute(&self, command: Command) -> anyhow::Result<Position> {
        let cause = Cause::request(new_id(), ACTOR);
        let executed = self
            .environment
            .execute::<OrderDecider>(self.order.into(), command, &cause, None)
            .await?;
        Ok(executed.position)
    }
}

impl Client for Commander {
    async fn request(&mut self) -> anyhow::Result<Request> {
        self.next_command().await?;
        Ok(Request::whole(1))
    }
}

/// An order of two lines.
fn order(order_id: Uuid, customer_id: Uuid, currency: Currency) -> PlaceOrder {
    let line = |sku: &str, description: &str, quantity: i64, cents| OrderLine {
        sku: sku.to_owned(),
        description: description.to_owned(),
        quantity: Decimal::from(quantity),
        unit_price: Decimal::new(cents, 2),
        vat_rate: Decimal::from(20),
    };
    PlaceOrder {
        order_id: order_id.into(),
        customer_id: customer_id.into(),
        currency,
        payment_method: "sandbox:ok".to_owned(),
        lines: vec![line("CH-1", "Chaise", 2, 4_990), line("TA-1", "Table", 1, 24_900)],
    }
}
