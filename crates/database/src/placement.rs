//! The placement of a module: the database whose processes run the module's policies and reactors and
//! answer its requests. A hand-over moves the whole module from the database of one process to that of
//! another, with the checkpoints and the parked events of its policies and reactors. Projections and
//! maintenance stay: each side has tables of its own for them.
//!
//! The transaction that hands over also fences out the old side, as a lost lease does. So at no time
//! two sides are in charge; what a reaction in progress still does is recognised by reaction ids and
//! idempotency keys. An epoch that grows with each hand-over makes every step repeatable: taking over
//! twice changes nothing.

use std::collections::BTreeSet;

use kernel::checkpoint::{Checkpoint, ParkedEvent};
use kernel::event::Position;
use kernel::subscription::SubscriptionKind;
use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteSynchronous;

use crate::postgres::connect;
use crate::subscriptions::{PARKED, UNPARK_ALL, checkpoint, insert_parked, parked};
use crate::{
    Database, DatabaseError, Engine, Pools, Row, Statement, Transaction, postgres_options,
    sqlite_options, sqlite_path,
};

const BEGIN_DURABLE: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    /// No subscription is registered until the transaction ends. On SQLite it has the whole database.
    const LOCK: Statement = Statement::PerEngine {
        sqlite: "SELECT 1 WHERE FALSE",
        postgres: "LOCK TABLE checkpoint IN SHARE ROW EXCLUSIVE MODE",
    };
    const CHARGE: Statement = Statement::Same("SELECT epoch, elsewhere, route FROM module_charge");
    const IN_USE: Statement = Statement::Same(
        "SELECT subscription, position FROM checkpoint WHERE kind IN ('policy', 'reactor') \
         AND (position > 0 OR owner IS NOT NULL) ORDER BY subscription LIMIT 1",
    );
    /// Whether the bookkeeping tables exist.
    const HAS_TABLES: Statement = Statement::PerEngine {
        sqlite: "SELECT count(*) = 2 FROM sqlite_master WHERE name IN ('checkpoint', 'module_charge')",
        postgres: "SELECT to_regclass('checkpoint') IS NOT NULL \
                   AND to_regclass('module_charge') IS NOT NULL",
    };
    const IN_CHARGE: Statement = Statement::Same(
        "SELECT EXISTS (SELECT 1 FROM checkpoint \
         WHERE kind IN ('policy', 'reactor') AND (position > 0 OR owner IS NOT NULL)) \
         AND NOT EXISTS (SELECT 1 FROM module_charge WHERE elsewhere IS NOT NULL)",
    );
    const AWAIT: Statement = Statement::Same(
        "INSERT INTO module_charge (one, epoch, elsewhere) VALUES (1, 0, $1) ON CONFLICT (one) DO NOTHING",
    );
    const SET: Statement = Statement::Same(
        "INSERT INTO module_charge (one, epoch, elsewhere) VALUES (1, $1, $2) \
         ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, elsewhere = excluded.elsewhere",
    );
    const ROUTE: Statement = Statement::Same(
        "INSERT INTO module_charge (one, epoch, route) VALUES (1, 0, $1) \
         ON CONFLICT (one) DO UPDATE SET route = excluded.route",
    );
    const MARK: Statement = Statement::Same(
        "UPDATE checkpoint SET elsewhere = $1, owner = NULL, token = NULL, expires_at = NULL \
         WHERE kind IN ('policy', 'reactor')",
    );
    const REACTIONS: Statement = Statement::Same(
        "SELECT subscription, kind, log_id, position, event_id, families FROM checkpoint \
         WHERE kind IN ('policy', 'reactor') ORDER BY subscription",
    );
    const FAMILIES: Statement =
        Statement::Same("SELECT families FROM checkpoint WHERE subscription = $1");
    const PUT: Statement = Statement::PerEngine {
        sqlite: "INSERT INTO checkpoint \
                 (subscription, kind, log_id, position, event_id, updated_at, reset_at, families) \
                 VALUES ($1, $2, $3, $4, $5, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), \
                 strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), $6) \
                 ON CONFLICT (subscription) DO UPDATE SET log_id = excluded.log_id, \
                 position = excluded.position, event_id = excluded.event_id, \
                 updated_at = excluded.updated_at, reset_at = excluded.reset_at, stopped_at = NULL, \
                 families = excluded.families",
        postgres: "INSERT INTO checkpoint \
                   (subscription, kind, log_id, position, event_id, updated_at, reset_at, families) \
                   VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp(), $6) \
                   ON CONFLICT (subscription) DO UPDATE SET log_id = excluded.log_id, \
                   position = excluded.position, event_id = excluded.event_id, \
                   updated_at = excluded.updated_at, reset_at = excluded.reset_at, stopped_at = NULL, \
                   families = excluded.families",
    };
}

/// Which side is in charge of a module, according to its database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Grows with every hand-over; 0 before the first.
    pub epoch: u64,
    /// The side in charge; `None` if it is this database.
    pub elsewhere: Option<String>,
    /// Where requests to the module are forwarded; `None` if they are answered here.
    pub route: Option<String>,
}

/// The data that moves from one database to the other when a module is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The number of this hand-over.
    pub epoch: u64,
    /// The module's policies and reactors.
    pub subscriptions: Vec<HandedOver>,
}

/// A policy or reactor that is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// Its name.
    pub subscription: String,
    /// Its kind.
    pub kind: SubscriptionKind,
    /// All events up to here are handled, except the parked ones.
    pub checkpoint: Checkpoint,
    /// Every event family that any replica ever subscribed to for it.
    pub families: BTreeSet<String>,
    /// Its events that could not be handled, and those that wait behind them.
    pub parked: Vec<ParkedEvent>,
}

/// Why a module was not handed over or taken over. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another side is in charge of the module.
    #[error("this database is not in charge of the module: {to} is")]
    Elsewhere {
        /// The side in charge.
        to: String,
    },
    /// The module's policies already ran on these tables, which the waiting side must not share.
    #[error(
        "{subscription} has run on these tables (up to position {position}), so they belong to the system in charge of the module: a service that waits for the module needs tables of its own; set --database or `database` under [modules.<name>]"
    )]
    InUse {
        /// The policy or reactor that ran.
        subscription: String,
        /// Its checkpoint.
        position: Position,
    },
    /// There was a later hand-over.
    #[error("hand-over {epoch} is outdated: the latest one here is {current}")]
    OutOfDate {
        /// The epoch of the hand-over.
        epoch: u64,
        /// The epoch of this database.
        current: u64,
    },
}

fn placement_of(row: &Row) -> Result<Placement, DatabaseError> {
    Ok(Placement {
        epoch: row.get::<i64>("epoch")?.cast_unsigned(),
        elsewhere: row.get("elsewhere")?,
        route: row.get("route")?,
    })
}

async fn placement_in(transaction: &mut Transaction) -> Result<Placement, DatabaseError> {
    let row = transaction.query(&CHARGE).fetch_optional().await?;
    Ok(row.as_ref().map(placement_of).transpose()?.unwrap_or_default())
}

async fn set(
    transaction: &mut Transaction,
    epoch: u64,
    elsewhere: Option<&str>,
) -> Result<(), DatabaseError> {
    transaction.query(&SET).bind(epoch.cast_signed()).bind(elsewhere).execute().await?;
    transaction.query(&MARK).bind(elsewhere).execute().await?;
    Ok(())
}

/// Returns the policies and reactors with their checkpoints and parked events.
async fn reactions(transaction: &mut Transaction) -> Result<Vec<HandedOver>, DatabaseError> {
    let mut reactions = Vec::new();
    for row in transaction.query(&REACTIONS).fetch_all().await? {
        let subscription: String = row.get("subscription")?;
        let set_aside = transaction.query(&PARKED).bind(&subscription).bind(0_i64).bind(i64::MAX);
        let set_aside = set_aside.fetch_all().await?;
        reactions.push(HandedOver {
            kind: row.name("kind")?,
            checkpoint: checkpoint(&row)?,
            families: row.json("families")?,
            parked: set_aside.iter().map(parked).collect::<Result<_, _>>()?,
            subscription,
        });
    }
    Ok(reactions)
}

/// Returns whether the policies of a module have run on the tables at a URL and were not handed over.
/// Returns `false` if there are no tables, and creates none.
pub async fn is_in_charge(url: &str, module: &str) -> Result<bool, DatabaseError> {
    match Engine::of(url)? {
        Engine::Sqlite => {
            let path = sqlite_path(url)?;
            if !path.exists() {
                return Ok(false);
            }
            let mut file = sqlite_options(&path, SqliteSynchronous::Normal)?.connect().await?;
            let [has_tables, in_charge] =
                [HAS_TABLES, IN_CHARGE].map(|one| one.text(Engine::Sqlite));
            let has_tables: bool = sqlx::query_scalar(has_tables).fetch_one(&mut file).await?;
            Ok(has_tables && sqlx::query_scalar(in_charge).fetch_one(&mut file).await?)
        }
        Engine::Postgres => {
            let options = postgres_options(url, module, &format!("bascule-{module}"))?;
            let mut schema = connect(&options).await?;
            let [has_tables, in_charge] =
                [HAS_TABLES, IN_CHARGE].map(|one| one.text(Engine::Postgres));
            let has_tables: bool = sqlx::query_scalar(has_tables).fetch_one(&mut schema).await?;
            Ok(has_tables && sqlx::query_scalar(in_charge).fetch_one(&mut schema).await?)
        }
    }
}

impl Database {
    /// Returns which side is in charge of the module.
    pub async fn placement(&self) -> Result<Placement, DatabaseError> {
        let row = self.query(&CHARGE).fetch_optional().await?;
        Ok(row.as_ref().map(placement_of).transpose()?.unwrap_or_default())
    }

    /// Leaves the module's policies and reactors to `elsewhere` until this side takes over, unless the
    /// placement was set before: for a new database next to an existing one. Refused if they have run
    /// here.
    pub async fn await_hand_over(&self, elsewhere: &str) -> Result<(), HandOverError> {
        let mut transaction = self.begin_locked().await?;
        if transaction.query(&AWAIT).bind(elsewhere).execute().await? == 1 {
            if let Some(row) = transaction.query(&IN_USE).fetch_optional().await? {
                let subscription = row.get("subscription")?;
                let position = row.get::<i64>("position")?.cast_unsigned();
                return Err(HandOverError::InUse { subscription, position });
            }
            transaction.query(&MARK).bind(elsewhere).execute().await?;
        }
        Ok(self.commit_locked(transaction).await?)
    }

    /// Hands over the module's policies and reactors. When this returns, the hand-over is durable, and
    /// no process moves their checkpoints here any more. A repeated call with the same recipient
    /// returns the same hand-over, as long as it was not taken back.
    pub async fn hand_over(&self, to: &str) -> Result<HandOver, HandOverError> {
        let mut transaction = self.begin_locked().await?;
        let placement = placement_in(&mut transaction).await?;
        let epoch = match placement.elsewhere {
            None => {
                set(&mut transaction, placement.epoch + 1, Some(to)).await?;
                placement.epoch + 1
            }
            Some(already) if already == to => placement.epoch,
            Some(to) => return Err(HandOverError::Elsewhere { to }),
        };
        let subscriptions = reactions(&mut transaction).await?;
        self.commit_locked(transaction).await?;
        Ok(HandOver { epoch, subscriptions })
    }

    /// Takes over from another database: from now on the processes on this one are in charge. Returns
    /// `false`, and changes nothing, if it was taken over already.
    pub async fn take_over(&self, handed: &HandOver) -> Result<bool, HandOverError> {
        let mut transaction = self.begin_locked().await?;
        let current = placement_in(&mut transaction).await?;
        if handed.epoch == current.epoch && current.elsewhere.is_none() {
            return Ok(false);
        }
        if handed.epoch <= current.epoch {
            let (epoch, current) = (handed.epoch, current.epoch);
            return Err(HandOverError::OutOfDate { epoch, current });
        }
        for one in &handed.subscriptions {
            let known = transaction.query(&FAMILIES).bind(&one.subscription).fetch_optional();
            let mut families = one.families.clone();
            if let Some(known) = known.await? {
                families.extend(known.json::<BTreeSet<String>>("families")?);
            }
            let put = transaction.query(&PUT).bind(&one.subscription).bind(one.kind.as_str());
            let put = put.bind(one.checkpoint.log_id).bind(one.checkpoint.position.cast_signed());
            put.bind(one.checkpoint.event_id).bind_json(&families).execute().await?;
            transaction.query(&UNPARK_ALL).bind(&one.subscription).execute().await?;
            for event in &one.parked {
                insert_parked(&mut transaction, &one.subscription, event).await?;
            }
        }
        set(&mut transaction, handed.epoch, None).await?;
        self.commit_locked(transaction).await?;
        Ok(true)
    }

    /// Forwards requests to the module to another side, or answers them here again, as hand-over
    /// `epoch` requires; refused after a later hand-over.
    pub async fn set_route(&self, route: Option<&str>, epoch: u64) -> Result<(), HandOverError> {
        let mut transaction = self.begin_locked().await?;
        let current = placement_in(&mut transaction).await?.epoch;
        if epoch != current {
            return Err(HandOverError::OutOfDate { epoch, current });
        }
        transaction.query(&ROUTE).bind(route).execute().await?;
        Ok(self.commit_locked(transaction).await?)
    }

    /// Begins a transaction during which no subscription is registered, and whose commit is durable
    /// when it returns, which is not the default on SQLite.
    async fn begin_locked(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction: Transaction = match &self.pools {
            Pools::Sqlite(pools) => pools.writer.begin(BEGIN_DURABLE).await?.into(),
            Pools::Postgres(_) => self.begin().await?,
        };
        transaction.query(&LOCK).execute().await?;
        Ok(transaction)
    }

    async fn commit_locked(&self, transaction: Transaction) -> Result<(), DatabaseError> {
        transaction.commit().await?;
        if let Pools::Sqlite(pools) = &self.pools {
            sqlx::query("PRAGMA synchronous = NORMAL").execute(pools.writer.statements()).await?;
        }
        Ok(())
    }
}
