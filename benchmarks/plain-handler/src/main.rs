//! What a shop without event sourcing would do: `POST /api/v1/orders` checks the order, inserts it
//! as one row in a transaction of its own, and answers 201. Nothing follows from it.
//!
//! `plain-handler LISTEN PG_URL CONNECTIONS` prints `ready` once it serves.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, post};
use anyhow::{Context as _, Result};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;
use validator::{Validate, ValidationError};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, \
     customer_id uuid NOT NULL, status text NOT NULL, placed jsonb NOT NULL, \
     created_at timestamptz NOT NULL DEFAULT now())";
/// A statement alone is a transaction: the cheapest there is, one round trip.
const INSERT: &str =
    "INSERT INTO orders (id, customer_id, status, placed) VALUES ($1, $2, 'awaiting_payment', $3)";

#[derive(Debug, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct PlaceOrder {
    customer_id: Uuid,
    #[validate(length(equal = 3), custom(function = currency))]
    currency: String,
    #[validate(length(min = 1, max = 64))]
    payment_method: String,
    #[validate(length(min = 1, max = 200), nested)]
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Line {
    #[validate(length(min = 1, max = 64))]
    sku: String,
    #[validate(length(min = 1, max = 500))]
    description: String,
    #[validate(custom(function = positive))]
    quantity: Decimal,
    #[validate(custom(function = not_negative))]
    unit_price: Decimal,
    #[validate(custom(function = percentage))]
    vat_rate: Decimal,
}

fn currency(code: &str) -> Result<(), ValidationError> {
    check(code.bytes().all(|letter| letter.is_ascii_uppercase()), "currency")
}

fn positive(number: &Decimal) -> Result<(), ValidationError> {
    check(*number > Decimal::ZERO, "positive")
}

fn not_negative(number: &Decimal) -> Result<(), ValidationError> {
    check(*number >= Decimal::ZERO, "not_negative")
}

fn percentage(number: &Decimal) -> Result<(), ValidationError> {
    check((Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(number), "percentage")
}

fn check(holds: bool, rule: &'static str) -> Result<(), ValidationError> {
    if holds { Ok(()) } else { Err(ValidationError::new(rule)) }
}

/// The row: the order with its total.
#[derive(Debug, Serialize)]
struct Placed<'a> {
    #[serde(flatten)]
    order: &'a PlaceOrder,
    total_net: Decimal,
    total_vat: Decimal,
    total: Decimal,
}

impl<'a> Placed<'a> {
    fn new(order: &'a PlaceOrder) -> Self {
        let (mut total_net, mut total_vat) = (Decimal::ZERO, Decimal::ZERO);
        for line in &order.lines {
            let net = (line.quantity * line.unit_price).round_dp(2);
            total_net += net;
            total_vat += (net * line.vat_rate / Decimal::ONE_HUNDRED).round_dp(2);
        }
        Self { order, total_net, total_vat, total: total_net + total_vat }
    }
}

#[post("/api/v1/orders")]
async fn place(pool: Data<PgPool>, order: Json<PlaceOrder>) -> HttpResponse {
    if let Err(errors) = order.validate() {
        return HttpResponse::UnprocessableEntity().json(errors);
    }
    let id = Uuid::now_v7();
    let inserted = sqlx::query(INSERT)
        .bind(id)
        .bind(order.customer_id)
        .bind(sqlx::types::Json(Placed::new(&order)))
        .execute(pool.get_ref())
        .await;
    match inserted {
        Ok(_) => HttpResponse::Created()
            .insert_header((LOCATION, format!("/api/v1/orders/{id}")))
            .json(serde_json::json!({ "id": id })),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

#[actix_web::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name| arguments.next().with_context(|| format!("{name} is missing"));
    let (listen, url) = (argument("LISTEN")?, argument("PG_URL")?);
    let connections = argument("CONNECTIONS")?.parse()?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .connect(&url)
        .await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let pool = Data::new(pool);
    let server = HttpServer::new(move || App::new().app_data(pool.clone()).service(place));
    let server = server.bind(listen)?;
    println!("ready");
    Ok(server.run().await?)
}
