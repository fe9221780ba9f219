//! A provider without money, for trials and tests. It behaves like an external service: its ledger is
//! separate, so it survives a restart of this process, and it can be slow, flaky or silent, depending
//! on the payment method:
//!
//! | method             | behaviour                                                             |
//! |--------------------|-----------------------------------------------------------------------|
//! | `sandbox:ok`       | captures                                                              |
//! | `sandbox:declined` | declines                                                              |
//! | `sandbox:flaky`    | is unavailable twice for each charge, then captures                   |
//! | `sandbox:slow`     | captures, and answers late                                            |
//! | `sandbox:never`    | accepts the charge, never answers and never decides; can be cancelled |
//! | `sandbox:refund-refused` | captures, and refuses the first refund of the charge            |
//!
//! Every other method is declined.

mod decision;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use database::{Database, DatabaseError, Migrations, Row, Statement, Transaction};
use kernel::combining::Combiner;
use kernel::credentials::ConnectionUrl;
use kernel::seams::SharedClock;
use payments_contract::PaymentId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::decision::{Answer, Decision, REFUSES_A_REFUND};
use super::{
    CancelOutcome, ChargeOutcome, ChargeRequest, ChargeStatus, PaymentProvider, ProviderError,
    RefundOutcome, RefundRequest, RefundStatus,
};

/// The ledger's name: a schema on PostgreSQL, part of the URL on SQLite.
const NAME: &str = "sandbox";

static LEDGER: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/payments/sandbox"),
    postgres: sqlx::migrate!("../../migrations/postgres/payments/sandbox"),
};

/// Maximum number of charges decided in one statement.
const MAX_RUN: usize = 256;

database::statements! {
    /// Every statement on the ledger.
    #[cfg(test)]
    const STATEMENTS: [Statement];

    const CHARGE: Statement = Statement::Same(
        "SELECT status, reason, attempts, amount FROM charge WHERE idempotency_key = $1",
    );
    /// Inserts a charge unless it is known, and locks it until the transaction ends, so that a charge
    /// and a cancellation that arrive together are serialised.
    const HOLD_CHARGE: Statement = Statement::Same(
        "INSERT INTO charge (idempotency_key, status, attempts) VALUES ($1, 'received', 0) \
         ON CONFLICT (idempotency_key) DO UPDATE SET attempts = charge.attempts \
         RETURNING status, reason, attempts, amount",
    );
    /// Decides and stores those of several charges that are not known, in one statement.
    const FIRST_CHARGES: Statement = Statement::PerEngine {
        sqlite: "INSERT INTO charge (idempotency_key, payment_id, amount, currency, status, reason, \
             attempts, captured_at) \
             SELECT unhex(value ->> 0, '-'), unhex(value ->> 1, '-'), value ->> 2, value ->> 3, \
             value ->> 4, value ->> 5, 1, CASE value ->> 4 WHEN 'captured' THEN $2 END \
             FROM json_each($1) WHERE true ON CONFLICT (idempotency_key) DO NOTHING \
             RETURNING idempotency_key",
        postgres: "INSERT INTO charge (idempotency_key, payment_id, amount, currency, status, reason, \
             attempts, captured_at) \
             SELECT (value ->> 0)::uuid, (value ->> 1)::uuid, value ->> 2, value ->> 3, \
             value ->> 4, value ->> 5, 1, CASE value ->> 4 WHEN 'captured' THEN $2::timestamptz END \
             FROM json_each($1) ON CONFLICT (idempotency_key) DO NOTHING \
             RETURNING idempotency_key",
    };
    const RECORD_CHARGE: Statement = Statement::Same(
        "UPDATE charge SET payment_id = $2, amount = $3, currency = $4, status = $5, reason = $6, \
         attempts = attempts + 1, captured_at = coalesce(captured_at, $7) WHERE idempotency_key = $1",
    );
    const CANCEL: Statement =
        Statement::Same("UPDATE charge SET status = 'cancelled' WHERE idempotency_key = $1");
    const REFUND: Statement =
        Statement::Same("SELECT idempotency_key FROM refund WHERE idempotency_key = $1");
    const REFUNDS_OF_CHARGE: Statement = Statement::Same(
        "SELECT idempotency_key, amount FROM refund WHERE charge_key = $1",
    );
    const REFUNDS: Statement = Statement::Same(
        "SELECT charge_key AS idempotency_key, amount FROM refund",
    );
    /// Later refunds of the charge are carried out.
    const ALLOW_REFUNDS: Statement =
        Statement::Same("UPDATE charge SET reason = NULL WHERE idempotency_key = $1");
    const RECORD_REFUND: Statement = Statement::Same(
        "INSERT INTO refund (idempotency_key, charge_key, amount, refunded_at) \
         VALUES ($1, $2, $3, $4)",
    );
    const CHARGES: Statement = Statement::Same(
        "SELECT idempotency_key, payment_id, amount, currency, status, attempts \
         FROM charge ORDER BY payment_id NULLS FIRST, idempotency_key",
    );
}

/// The settings of the sandbox. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// Delay of the answer of `sandbox:slow`. It must exceed the time-out of a call to have an effect.
    pub slow_answer_after_ms: u64,
    /// URL of the ledger; beside the event store unless set. Services that share an event store over
    /// the network must set it, or each has a provider of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<ConnectionUrl>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self { slow_answer_after_ms: 3_000, ledger: None }
    }
}

/// A charge in the sandbox's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxCharge {
    /// Key of the charge.
    pub idempotency_key: Uuid,
    /// Payment of the charge, if known.
    pub payment_id: Option<PaymentId>,
    /// Amount of the charge, if known.
    pub amount: Option<Decimal>,
    /// ISO 4217 currency code, if known.
    pub currency: Option<String>,
    /// Whether the money was captured.
    pub captured: bool,
    /// Whether the charge was cancelled, so that nothing will be captured.
    pub cancelled: bool,
    /// Number of times the charge was requested.
    pub attempts: u64,
    /// Whether the charge was refunded, in whole or in part.
    pub refunded: bool,
    /// Refunded amount.
    pub given_back: Decimal,
}

impl SandboxCharge {
    fn read(row: &Row, refunds: &[RefundEntry]) -> Result<Self, DatabaseError> {
        let status: &str = row.get("status")?;
        let amount: Option<&str> = row.get("amount")?;
        let idempotency_key = row.get("idempotency_key")?;
        let refunds = refunds.iter().filter(|refund| refund.key == idempotency_key);
        let amounts: Vec<_> = refunds.map(|refund| refund.amount).collect();
        Ok(Self {
            idempotency_key,
            payment_id: row.get::<Option<Uuid>>("payment_id")?.map(PaymentId::from),
            amount: amount.and_then(|amount| amount.parse().ok()),
            currency: row.get("currency")?,
            captured: status == "captured",
            cancelled: status == "cancelled",
            attempts: row.get::<i64>("attempts")?.cast_unsigned(),
            refunded: !amounts.is_empty(),
            given_back: amounts.into_iter().sum(),
        })
    }
}

/// The sandbox provider.
#[derive(Clone)]
pub struct Sandbox {
    ledger: Database,
    clock: SharedClock,
    settings: SandboxSettings,
    /// Combines simultaneous charges into one write to the ledger. The result of a charge is whether it
    /// was unknown before.
    firsts: Arc<Combiner<ChargeRequest, Result<bool, Arc<DatabaseError>>>>,
    /// Number of charges being decided.
    deciding: Arc<AtomicUsize>,
}

/// A charge being decided, until this is dropped.
struct Deciding<'s>(&'s AtomicUsize);

impl<'s> Deciding<'s> {
    fn begin(count: &'s AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sandbox {
    /// Opens the sandbox with the ledger at `url`.
    pub async fn open(
        url: &str,
        clock: SharedClock,
        settings: SandboxSettings,
    ) -> Result<Self, DatabaseError> {
        let ledger = Database::open(url, NAME, &LEDGER).await?;
        let (firsts, deciding) = (Arc::new(Combiner::new(MAX_RUN)), Arc::default());
        Ok(Self { ledger, clock, settings, firsts, deciding })
    }

    /// Returns every charge in the ledger.
    pub async fn charges(&self) -> Result<Vec<SandboxCharge>, DatabaseError> {
        let rows = self.ledger.query(&CHARGES).fetch_all().await?;
        let refunds = self.ledger.query(&REFUNDS).fetch_all().await?;
        let refunds: Vec<RefundEntry> =
            refunds.iter().map(RefundEntry::read).collect::<Result<_, _>>()?;
        rows.iter().map(|row| SandboxCharge::read(row, &refunds)).collect()
    }

    /// Decides a charge and stores the decision.
    async fn decide(&self, request: &ChargeRequest) -> Result<Decision, ProviderError> {
        let _deciding = Deciding::begin(&self.deciding);
        let firsts = self.firsts.ask(request.clone(), |asked| self.decide_firsts(asked));
        let is_first = firsts.await.map_err(|error| ProviderError::Unavailable(error.into()))?;
        if is_first {
            return Ok(Decision::by_method(&request.method, 1));
        }
        self.decide_again(request).await.map_err(unavailable)
    }

    /// Decides those of several charges that are not known. Returns which those are, in the same order.
    async fn decide_firsts(
        &self,
        asked: Vec<ChargeRequest>,
    ) -> Vec<Result<bool, Arc<DatabaseError>>> {
        let charges: Vec<_> = asked
            .iter()
            .map(|request| {
                let ChargeRequest { idempotency_key, payment_id, amount, currency, method } =
                    request;
                let Decision { status, reason, .. } = Decision::by_method(method, 1);
                (idempotency_key, payment_id, amount.to_string(), currency, status, reason)
            })
            .collect();
        let record = self.ledger.write(&FIRST_CHARGES).bind_json(&charges).bind(self.clock.now());
        match record.scalars::<Uuid>().await {
            Ok(firsts) => {
                let mut firsts: HashSet<Uuid> = firsts.into_iter().collect();
                // Of two charges with the same key, the second one is known.
                asked.iter().map(|request| Ok(firsts.remove(&request.idempotency_key))).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                asked.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        }
    }

    /// Decides a known charge.
    async fn decide_again(&self, request: &ChargeRequest) -> Result<Decision, DatabaseError> {
        let mut transaction = self.ledger.begin().await?;
        let known = hold(&mut transaction, request.idempotency_key).await?;
        let decision = match known.status.as_str() {
            "declined" => Decision::declined(known.reason.as_deref().unwrap_or("declined")),
            "captured" => Decision { reason: known.reason, ..Decision::captured() },
            "cancelled" => {
                // The charge stays cancelled; only the attempt is stored.
                let reason = Some("the charge was cancelled".to_owned());
                Decision { status: "cancelled", reason, answer: Answer::AtOnce }
            }
            _ => Decision::by_method(&request.method, known.attempts + 1),
        };
        let record = transaction
            .query(&RECORD_CHARGE)
            .bind(request.idempotency_key)
            .bind(request.payment_id.as_uuid())
            .bind(request.amount.to_string())
            .bind(&request.currency)
            .bind(decision.status)
            .bind(&decision.reason)
            .bind((decision.status == "captured").then(|| self.clock.now()));
        record.execute().await?;
        transaction.commit().await?;
        Ok(decision)
    }

    async fn settle_refund(&self, request: &RefundRequest) -> Result<RefundOutcome, DatabaseError> {
        let mut transaction = self.ledger.begin().await?;
        let refused = |code: &str| Ok(RefundOutcome::Refused { code: code.to_owned() });
        let charge = hold(&mut transaction, request.charge_key).await?;
        if charge.status != "captured" {
            return refused("charge_not_captured");
        }
        if charge.reason.as_deref() == Some(REFUSES_A_REFUND) {
            transaction.query(&ALLOW_REFUNDS).bind(request.charge_key).execute().await?;
            transaction.commit().await?;
            return refused("insufficient_balance");
        }
        let refunds =
            transaction.query(&REFUNDS_OF_CHARGE).bind(request.charge_key).fetch_all().await?;
        let refunds: Vec<RefundEntry> =
            refunds.iter().map(RefundEntry::read).collect::<Result<_, _>>()?;
        if !refunds.iter().any(|refund| refund.key == request.idempotency_key) {
            let back: Decimal = refunds.iter().map(|refund| refund.amount).sum();
            let left = charge.amount.unwrap_or_default() - back;
            if left.is_zero() {
                return refused("already_refunded");
            }
            if request.amount > left {
                return refused("exceeds_charge");
            }
            let record = transaction
                .query(&RECORD_REFUND)
                .bind(request.idempotency_key)
                .bind(request.charge_key)
                .bind(request.amount.to_string())
                .bind(self.clock.now());
            record.execute().await?;
            transaction.commit().await?;
        }
        Ok(RefundOutcome::Refunded { reference: refund_reference(request.idempotency_key) })
    }

    async fn settle_cancel(&self, key: Uuid) -> Result<CancelOutcome, DatabaseError> {
        let mut transaction = self.ledger.begin().await?;
        let known = hold(&mut transaction, key).await?;
        match known.status.as_str() {
            "captured" => {
                return Ok(CancelOutcome::AlreadyCaptured { reference: charge_reference(key) });
            }
            "declined" => {
                let reason = known.reason.unwrap_or_else(|| "declined".to_owned());
                return Ok(CancelOutcome::AlreadyDeclined { reason });
            }
            _ => {}
        }
        transaction.query(&CANCEL).bind(key).execute().await?;
        transaction.commit().await?;
        Ok(CancelOutcome::Cancelled)
    }

    async fn status(&self, key: Uuid) -> Result<ChargeStatus, DatabaseError> {
        let found = self.ledger.query(&CHARGE).bind(key).fetch_optional().await?;
        let Some(charge) = found.as_ref().map(Charge::read).transpose()? else {
            return Ok(ChargeStatus::NotFound);
        };
        Ok(match charge.status.as_str() {
            "captured" => ChargeStatus::Captured { reference: charge_reference(key) },
            "declined" => ChargeStatus::Declined {
                reason: charge.reason.unwrap_or_else(|| "declined".to_owned()),
            },
            "pending" => ChargeStatus::Pending,
            "cancelled" => ChargeStatus::Cancelled,
            // The charge failed before it was accepted.
            _ => ChargeStatus::NotFound,
        })
    }

    async fn refund_status(&self, key: Uuid) -> Result<RefundStatus, DatabaseError> {
        let found = self.ledger.query(&REFUND).bind(key);
        Ok(match found.scalar_optional::<Uuid>().await? {
            Some(key) => RefundStatus::Refunded { reference: refund_reference(key) },
            None => RefundStatus::NotFound,
        })
    }
}

/// A row of a charge.
struct Charge {
    status: String,
    reason: Option<String>,
    attempts: i64,
    amount: Option<Decimal>,
}

impl Charge {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        let (status, reason) = (row.get("status")?, row.get("reason")?);
        let amount: Option<&str> = row.get("amount")?;
        let amount = amount.map(decimal).transpose()?;
        Ok(Self { status, reason, attempts: row.get("attempts")?, amount })
    }
}

/// Reads an amount. A damaged amount is an error: as zero, it would allow a refund of more than was
/// captured.
fn decimal(text: &str) -> Result<Decimal, DatabaseError> {
    text.parse().map_err(|_| DatabaseError::Damaged {
        column: "amount".to_owned(),
        reason: "not a decimal number".to_owned(),
    })
}

/// A row of a refund.
struct RefundEntry {
    /// Key of the refund, or of the refunded charge in a list.
    key: Uuid,
    amount: Decimal,
}

impl RefundEntry {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        let amount: &str = row.get("amount")?;
        let amount = decimal(amount)?;
        Ok(Self { key: row.get("idempotency_key")?, amount })
    }
}

/// Locks a charge until the transaction ends, and returns it.
async fn hold(transaction: &mut Transaction, key: Uuid) -> Result<Charge, DatabaseError> {
    Charge::read(&transaction.query(&HOLD_CHARGE).bind(key).fetch_one().await?)
}

fn charge_reference(key: Uuid) -> String {
    format!("sandbox-ch-{key}")
}

fn refund_reference(key: Uuid) -> String {
    format!("sandbox-re-{key}")
}

/// The error of `sandbox:flaky`.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox simulates an outage")]
struct SimulatedOutage;

fn unavailable(error: DatabaseError) -> ProviderError {
    ProviderError::Unavailable(error.into())
}

#[async_trait]
impl PaymentProvider for Sandbox {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, ProviderError> {
        let decision = self.decide(request).await?;
        match decision.answer {
            Answer::AtOnce => {}
            Answer::Late => {
                let after = Duration::from_millis(self.settings.slow_answer_after_ms);
                tokio::time::sleep(after).await;
            }
            Answer::Never => std::future::pending().await,
            Answer::Unavailable => {
                return Err(ProviderError::Unavailable(SimulatedOutage.into()));
            }
        }
        if decision.status == "captured" {
            let reference = charge_reference(request.idempotency_key);
            return Ok(ChargeOutcome::Captured { reference });
        }
        Ok(ChargeOutcome::Declined { reason: decision.reason.unwrap_or_default() })
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

    /// This process maintains the ledger.
    fn is_own_work(&self) -> bool {
        self.deciding.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests;
