//! The books of the payment provider, read past the product.

use sqlx::Connection as _;
use uuid::Uuid;

use crate::server::Data;

/// Money that was taken.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Charge {
    pub(super) payment: Uuid,
    /// Whether it went back.
    pub(super) refunded: bool,
}

const CAPTURED: &str = "SELECT payment_id AS payment, refund.charge_key IS NOT NULL AS refunded \
     FROM charge LEFT JOIN refund ON charge_key = charge.idempotency_key WHERE status = 'captured'";

/// Every charge that was captured.
pub(super) async fn captured(data: &Data) -> Vec<Charge> {
    let url = format!("sqlite:{}", data.path("bascule.sandbox.db").display());
    let mut books = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let charges = sqlx::query_as(CAPTURED).fetch_all(&mut books).await.unwrap();
    books.close().await.unwrap();
    charges
}
