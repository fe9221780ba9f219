//! The books of the payment provider, read past the product.

use rust_decimal::Decimal;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::server::Data;

/// Money that was taken.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Charge {
    pub(super) payment: Uuid,
    amount: String,
    /// What went back of it, one after the other.
    refunds: Option<String>,
}

impl Charge {
    /// Whether money went back. No more than was taken ever does.
    pub(super) fn refunded(&self) -> bool {
        let refunds = self.refunds.iter().flat_map(|refunds| refunds.split(' '));
        let refunded: Decimal = refunds.map(|amount| amount.parse::<Decimal>().unwrap()).sum();
        let taken: Decimal = self.amount.parse().unwrap();
        assert!(refunded <= taken, "of {taken} of {} {refunded} went back", self.payment);
        !refunded.is_zero()
    }
}

macro_rules! captured {
    ($books:literal) => {
        concat!(
            "SELECT payment_id AS payment, amount, (SELECT string_agg(amount, ' ') FROM ",
            $books,
            "refund WHERE charge_key = charge.idempotency_key) AS refunds FROM ",
            $books,
            "charge AS charge WHERE status = 'captured'"
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
