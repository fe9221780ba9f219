//! A provider without money, for trying things out and for tests. It behaves like a service
//! outside: it keeps books of its own, which a restart of our process does not touch, and it can
//! be slow, flaky or silent, as the payment method says:
//!
//! | method             | what it does                                                          |
//! |--------------------|-----------------------------------------------------------------------|
//! | `sandbox:ok`       | captures                                                              |
//! | `sandbox:declined` | declines                                                              |
//! | `sandbox:flaky`    | is unavailable twice for each charge, then captures                   |
//! | `sandbox:slow`     | captures, and answers late                                            |
//! | `sandbox:never`    | takes the charge in, never answers and never decides; can be cancelled |
//!
//! Every other method is declined.

use std::time::Duration;

use async_trait::async_trait;
use database::{Database, DatabaseError};
use kernel::seams::SharedClock;
use payments_contract::PaymentId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::{
    CancelOutcome, ChargeOutcome, ChargeRequest, ChargeStatus, PaymentProvider, ProviderError,
    RefundOutcome, RefundRequest, RefundStatus,
};

static LEDGER: Migrator = sqlx::migrate!("../../migrations/sqlite/payments/sandbox");

/// Calls per charge that `sandbox:flaky` fails.
const FLAKY_FAILURES: i64 = 2;

const CHARGE: &str = "SELECT status, reason, attempts FROM charge WHERE idempotency_key = $1";
const RECORD_CHARGE: &str = "INSERT INTO charge \
     (idempotency_key, payment_id, amount, currency, status, reason, attempts, captured_at) \
     VALUES ($1, $2, $3, $4, $5, $6, 1, $7) \
     ON CONFLICT (idempotency_key) DO UPDATE SET status = excluded.status, \
     reason = excluded.reason, attempts = attempts + 1, \
     captured_at = coalesce(captured_at, excluded.captured_at)";
const CANCEL: &str = "INSERT INTO charge (idempotency_key, status, attempts) \
     VALUES ($1, 'cancelled', 0) \
     ON CONFLICT (idempotency_key) DO UPDATE SET status = 'cancelled'";
const REFUND: &str = "SELECT idempotency_key FROM refund WHERE idempotency_key = $1";
const REFUND_OF_CHARGE: &str = "SELECT idempotency_key FROM refund WHERE charge_key = $1";
const RECORD_REFUND: &str = "INSERT INTO refund (idempotency_key, charge_key, amount, refunded_at) \
     VALUES ($1, $2, $3, $4)";
const CHARGES: &str = "SELECT charge.idempotency_key, payment_id, charge.amount, currency, status, \
     attempts, refund.idempotency_key IS NOT NULL \
     FROM charge LEFT JOIN refund ON charge_key = charge.idempotency_key \
     ORDER BY payment_id, charge.idempotency_key";

/// Every statement on the ledger.
pub const STATEMENTS: &[&str] =
    &[CHARGE, RECORD_CHARGE, CANCEL, REFUND, REFUND_OF_CHARGE, RECORD_REFUND, CHARGES];

/// Settings of the sandbox. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// After what time `sandbox:slow` answers. More than the time-out of a call, or it is not slow.
    pub slow_answer_after_ms: u64,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self { slow_answer_after_ms: 3_000 }
    }
}

/// A charge in the sandbox's books.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxCharge {
    /// What recognises it.
    pub idempotency_key: Uuid,
    /// What it is for, where known.
    pub payment_id: Option<PaymentId>,
    /// How much, where known.
    pub amount: Option<Decimal>,
    /// ISO 4217 code, where known.
    pub currency: Option<String>,
    /// Whether the money was taken.
    pub captured: bool,
    /// Whether it was cancelled, so that nothing will be taken.
    pub cancelled: bool,
    /// How often it was asked for.
    pub attempts: u64,
    /// Whether the money went back.
    pub refunded: bool,
}

/// The sandbox provider.
#[derive(Clone)]
pub struct Sandbox {
    ledger: Database,
    clock: SharedClock,
    settings: SandboxSettings,
}

impl Sandbox {
    /// Opens the sandbox whose books are in the database at `url`.
    pub async fn open(
        url: &str,
        clock: SharedClock,
        settings: SandboxSettings,
    ) -> Result<Self, DatabaseError> {
        let ledger = Database::open(url, "payments-sandbox", &LEDGER).await?;
        Ok(Self { ledger, clock, settings })
    }

    /// Its books: every charge it has heard of.
    pub async fn charges(&self) -> Result<Vec<SandboxCharge>, DatabaseError> {
        type Row = (Uuid, Option<Uuid>, Option<String>, Option<String>, String, i64, bool);
        let rows: Vec<Row> = sqlx::query_as(CHARGES).fetch_all(self.ledger.readers()).await?;
        Ok(rows
            .into_iter()
            .map(|(idempotency_key, payment_id, amount, currency, status, attempts, refunded)| {
                SandboxCharge {
                    idempotency_key,
                    payment_id,
                    amount: amount.and_then(|amount| amount.parse().ok()),
                    currency,
                    captured: status == "captured",
                    cancelled: status == "cancelled",
                    attempts: attempts.cast_unsigned(),
                    refunded,
                }
            })
            .collect())
    }

    /// Decides a charge and writes the decision into the books.
    async fn decide(&self, request: &ChargeRequest) -> Result<Decision, DatabaseError> {
        let mut books = self.ledger.begin().await?;
        let known = find(&mut books, request.idempotency_key).await?;
        let attempts = known.as_ref().map_or(0, |known| known.attempts) + 1;
        let decision = match known.map(|known| (known.status, known.reason)) {
            Some((status, reason)) if status == "declined" => {
                Decision::declined(reason.as_deref().unwrap_or("declined"))
            }
            Some((status, _)) if status == "captured" => Decision::captured(),
            Some((status, _)) if status == "cancelled" => {
                // Stays cancelled: nothing is written but that it was asked for.
                let reason = Some("the charge was cancelled".to_owned());
                Decision { status: "cancelled", reason, answer: Answer::AtOnce }
            }
            _ => Decision::by_method(&request.method, attempts),
        };
        sqlx::query(RECORD_CHARGE)
            .bind(request.idempotency_key)
            .bind(request.payment_id)
            .bind(request.amount.to_string())
            .bind(&request.currency)
            .bind(decision.status)
            .bind(&decision.reason)
            .bind((decision.status == "captured").then(|| self.clock.now()))
            .execute(&mut *books)
            .await?;
        books.commit().await?;
        Ok(decision)
    }

    async fn settle_refund(&self, request: &RefundRequest) -> Result<RefundOutcome, DatabaseError> {
        let mut books = self.ledger.begin().await?;
        let refused = |code: &str| Ok(RefundOutcome::Refused { code: code.to_owned() });
        let charge = find(&mut books, request.charge_key).await?;
        if charge.is_none_or(|charge| charge.status != "captured") {
            return refused("charge_not_captured");
        }
        let refund: Option<Uuid> = sqlx::query_scalar(REFUND_OF_CHARGE)
            .bind(request.charge_key)
            .fetch_optional(&mut *books)
            .await?;
        match refund {
            Some(known) if known != request.idempotency_key => return refused("already_refunded"),
            Some(_) => {}
            None => {
                sqlx::query(RECORD_REFUND)
                    .bind(request.idempotency_key)
                    .bind(request.charge_key)
                    .bind(request.amount.to_string())
                    .bind(self.clock.now())
                    .execute(&mut *books)
                    .await?;
                books.commit().await?;
            }
        }
        Ok(RefundOutcome::Refunded { reference: refund_reference(request.idempotency_key) })
    }

    async fn settle_cancel(&self, key: Uuid) -> Result<CancelOutcome, DatabaseError> {
        let mut books = self.ledger.begin().await?;
        match find(&mut books, key).await? {
            Some(known) if known.status == "captured" => {
                return Ok(CancelOutcome::AlreadyCaptured { reference: charge_reference(key) });
            }
            Some(Charge { status, reason, .. }) if status == "declined" => {
                let reason = reason.unwrap_or_else(|| "declined".to_owned());
                return Ok(CancelOutcome::AlreadyDeclined { reason });
            }
            _ => {}
        }
        sqlx::query(CANCEL).bind(key).execute(&mut *books).await?;
        books.commit().await?;
        Ok(CancelOutcome::Cancelled)
    }

    async fn status(&self, key: Uuid) -> Result<ChargeStatus, DatabaseError> {
        let mut books = self.ledger.readers().acquire().await?;
        let Some(charge) = find(&mut books, key).await? else {
            return Ok(ChargeStatus::NotFound);
        };
        Ok(match charge.status.as_str() {
            "captured" => ChargeStatus::Captured { reference: charge_reference(key) },
            "declined" => ChargeStatus::Declined {
                reason: charge.reason.unwrap_or_else(|| "declined".to_owned()),
            },
            "pending" => ChargeStatus::Pending,
            "cancelled" => ChargeStatus::Cancelled,
            // It failed before it took the charge in.
            _ => ChargeStatus::NotFound,
        })
    }

    async fn refund_status(&self, key: Uuid) -> Result<RefundStatus, DatabaseError> {
        let found: Option<Uuid> =
            sqlx::query_scalar(REFUND).bind(key).fetch_optional(self.ledger.readers()).await?;
        Ok(match found {
            Some(key) => RefundStatus::Refunded { reference: refund_reference(key) },
            None => RefundStatus::NotFound,
        })
    }
}

/// A charge as it stands in the books.
#[derive(sqlx::FromRow)]
struct Charge {
    status: String,
    reason: Option<String>,
    attempts: i64,
}

async fn find(
    books: &mut sqlx::SqliteConnection,
    key: Uuid,
) -> Result<Option<Charge>, DatabaseError> {
    Ok(sqlx::query_as(CHARGE).bind(key).fetch_optional(books).await?)
}

/// What is written into the books, and how it is answered.
struct Decision {
    status: &'static str,
    reason: Option<String>,
    answer: Answer,
}

#[derive(Clone, Copy)]
enum Answer {
    AtOnce,
    Late,
    Never,
    Unavailable,
}

impl Decision {
    fn captured() -> Self {
        Self { status: "captured", reason: None, answer: Answer::AtOnce }
    }

    fn declined(reason: &str) -> Self {
        Self { status: "declined", reason: Some(reason.to_owned()), answer: Answer::AtOnce }
    }

    fn by_method(method: &str, attempts: i64) -> Self {
        match method {
            "sandbox:ok" => Self::captured(),
            "sandbox:declined" => Self::declined("insufficient funds"),
            "sandbox:flaky" if attempts <= FLAKY_FAILURES => {
                Self { status: "received", reason: None, answer: Answer::Unavailable }
            }
            "sandbox:flaky" => Self::captured(),
            "sandbox:slow" => Self { answer: Answer::Late, ..Self::captured() },
            "sandbox:never" => Self { status: "pending", reason: None, answer: Answer::Never },
            _ => Self::declined("unknown payment method"),
        }
    }
}

fn charge_reference(key: Uuid) -> String {
    format!("sandbox-ch-{key}")
}

fn refund_reference(key: Uuid) -> String {
    format!("sandbox-re-{key}")
}

/// What `sandbox:flaky` says.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox plays unavailable")]
struct PlaysUnavailable;

fn unavailable(error: DatabaseError) -> ProviderError {
    ProviderError::Unavailable(error.into())
}

#[async_trait]
impl PaymentProvider for Sandbox {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, ProviderError> {
        let decision = self.decide(request).await.map_err(unavailable)?;
        match decision.answer {
            Answer::AtOnce => {}
            Answer::Late => {
                let after = Duration::from_millis(self.settings.slow_answer_after_ms);
                tokio::time::sleep(after).await;
            }
            Answer::Never => std::future::pending().await,
            Answer::Unavailable => {
                return Err(ProviderError::Unavailable(PlaysUnavailable.into()));
            }
        }
        Ok(match decision.reason {
            Some(reason) => ChargeOutcome::Declined { reason },
            None => {
                ChargeOutcome::Captured { reference: charge_reference(request.idempotency_key) }
            }
        })
    }

    async fn lookup(&self, idempotency_key: Uuid) -> Result<ChargeStatus, ProviderError> {
        self.status(idempotency_key).await.map_err(unavailable)
    }

    async fn cancel(&self, idempotency_key: Uuid) -> Result<CancelOutcome, ProviderError> {
        self.settle_cancel(idempotency_key).await.map_err(unavailable)
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundOutcome, ProviderError> {
        self.settle_refund(request).await.map_err(unavailable)
    }

    async fn lookup_refund(&self, idempotency_key: Uuid) -> Result<RefundStatus, ProviderError> {
        self.refund_status(idempotency_key).await.map_err(unavailable)
    }
}

#[cfg(test)]
mod tests;
