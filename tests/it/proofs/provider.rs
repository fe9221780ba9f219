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

macro_rules! captured {
    ($books:literal) => {
        concat!(
            "SELECT payment_id AS payment, refund.charge_key IS NOT NULL AS refunded FROM ",
            $books,
            "charge AS charge LEFT JOIN ",
            $books,
            "refund AS refund ON charge_key = charge.idempotency_key WHERE status = 'captured'"
        )
    };
}

/// Every charge that was captured.
pub(super) async fn captured(data: &Data) -> Vec<Charge> {
    if data.is_in_postgres() {
        let mut books = testkit::postgres::connect(&data.store()).await;
        let charges = sqlx::query_as(captured!("sandbox.")).fetch_all(&mut books).await;
        books.close().await.unwrap();
        charges.unwrap()
    } else {
        let url = format!("sqlite:{}", data.path("bascule.sandbox.db").display());
        let mut books = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let charges = sqlx::query_as(captured!("")).fetch_all(&mut books).await;
        books.close().await.unwrap();
        charges.unwrap()
    }
}
