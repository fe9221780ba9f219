//! A client of the module's routes.

use std::ops::Deref;

use actix_web::test::TestRequest;
use customers_contract::CustomerRegistered;
use event_contract::Sample as _;
use kernel::seams::new_id;
use orders::projections::CustomerEvent;
use serde_json::{Value, json};
use testkit::{Answer, Client};
use uuid::Uuid;

use crate::world::World;

/// A client of `/api/v1/orders`.
pub struct Orders(Client);

impl Deref for Orders {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Orders {
    pub fn of(world: &World) -> Self {
        Self(Client::of(&world.module))
    }

    pub async fn act(&self, id: Uuid, action: &str) -> Answer {
        self.0.act(&format!("/api/v1/orders/{id}/{action}")).await
    }

    pub async fn place(&self, customer_id: Uuid) -> Answer {
        self.post("/api/v1/orders", order_of(customer_id)).await
    }

    /// Reads the order of an answer, once the read model includes that answer's events.
    pub async fn order_after(&self, answer: &Answer) -> Answer {
        let path = format!("/api/v1/orders/{}", answer.id());
        let position = answer.header("bascule-position").to_owned();
        let request =
            TestRequest::get().uri(&path).insert_header(("Bascule-Min-Position", position));
        self.send(request).await.is(200)
    }
}

pub fn order_of(customer_id: Uuid) -> Value {
    json!({
        "customer_id": customer_id,
        "currency": "EUR",
        "payment_method": "sandbox:ok",
        "lines": [{ "sku": "CH-1", "description": "Chaise", "quantity": "2", "unit_price": "49.90", "vat_rate": "20" }]
    })
}

pub async fn customer(world: &World) -> Uuid {
    let customer_id = new_id();
    let customer = customer_id.into();
    let registered = CustomerRegistered { customer_id: customer, ..CustomerRegistered::sample() };
    world.happened("customer", customer_id, CustomerEvent::from(registered)).await;
    customer_id
}
