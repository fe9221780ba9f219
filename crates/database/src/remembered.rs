//! Checkpoints that this process remembers, for tables that may be reset.
//!
//! Data that derives from the log is committed without waiting for the disk, and a standby may lag:
//! after a crash of the server, or a failover, rows and checkpoints may be in an earlier state while
//! the process continues. A caller that relies on the position in memory would take a missing row for
//! one that does not exist. Therefore every new connection compares the checkpoints known to be stored
//! with those in the database, before anything is read through it. Older connections end with the
//! server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::event::Position;
use sqlx::postgres::{PgConnection, PgDatabaseError};
use tokio::sync::watch;

use crate::{Engine, Statement};

crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    /// The checkpoints that a new connection finds.
    const CHECKPOINTS: Statement = Statement::Same("SELECT subscription, position FROM checkpoint");
}

/// The tables were dropped: the next statement will report it.
const UNDEFINED_TABLE: &str = "42P01";

/// The remembered checkpoints of one module's tables.
#[derive(Debug)]
pub(crate) struct Remembered {
    subscriptions: Mutex<HashMap<String, Known>>,
    /// The number of resets of the tables.
    incarnation: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    /// The position of its stored checkpoint.
    stored: Position,
    /// The position that its readers assume, for those who wait for it.
    believed: Option<watch::Sender<Position>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { subscriptions: Mutex::default(), incarnation: watch::Sender::new(0) }
    }
}

impl Remembered {
    pub(crate) fn incarnation(&self) -> u64 {
        *self.incarnation.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.incarnation.subscribe()
    }

    /// Records the checkpoint that was stored or found for a subscription.
    pub(crate) fn note(&self, subscription: &str, position: Position) {
        let mut subscriptions = self.lock();
        match subscriptions.get_mut(subscription) {
            Some(known) => known.stored = position,
            None => {
                let known = Known { stored: position, believed: None };
                subscriptions.insert(subscription.to_owned(), known);
            }
        }
    }

    /// Registers the assumed position of a subscription, to be lowered if its rows turn out to be
    /// older.
    pub(crate) fn entrust(&self, subscription: &str, believed: watch::Sender<Position>) {
        self.lock().entry(subscription.to_owned()).or_default().believed = Some(believed);
    }

    /// Compares the remembered checkpoints with those that a new connection finds.
    pub(crate) async fn compare(
        self: &Arc<Self>,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        // Taken before the query: a checkpoint stored meanwhile is later, not earlier.
        let known: HashMap<String, Position> =
            self.lock().iter().map(|(name, known)| (name.clone(), known.stored)).collect();
        if known.values().all(|stored| *stored == 0) {
            return Ok(());
        }
        let found: Result<Vec<(String, i64)>, _> =
            sqlx::query_as(CHECKPOINTS.text(Engine::Postgres)).fetch_all(connection).await;
        let found: HashMap<String, Position> = match found {
            Ok(found) => {
                found.into_iter().map(|(name, position)| (name, position.cast_unsigned())).collect()
            }
            Err(error) if is_undefined_table(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let at = |name: &str| found.get(name).copied().unwrap_or(0);
        let behind: Vec<_> = known
            .iter()
            .filter(|(name, stored)| at(name) < **stored)
            .map(|(name, _)| name)
            .collect();
        if !behind.is_empty() {
            self.go_back(behind.into_iter().map(|name| (name.as_str(), at(name))));
        }
        Ok(())
    }

    fn go_back<'n>(&self, found: impl Iterator<Item = (&'n str, Position)>) {
        let mut subscriptions = self.lock();
        let mut any = false;
        for (subscription, position) in found {
            // Another connection may have found out meanwhile.
            let known = subscriptions.get_mut(subscription);
            let Some(known) = known.filter(|known| known.stored > position) else { continue };
            any = true;
            tracing::warn!(
                subscription,
                stored = known.stored,
                found = position,
                "the checkpoint is earlier than the stored one: the database lost its last commits, or the subscription was rebuilt; missing rows are derived again from the log"
            );
            known.stored = position;
            if let Some(believed) = &known.believed {
                believed.send_if_modified(|believed| {
                    let lowered = *believed > position;
                    *believed = position.min(*believed);
                    lowered
                });
            }
        }
        drop(subscriptions);
        if any {
            self.incarnation.send_modify(|incarnation| *incarnation += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    let answer = error.as_database_error().and_then(|error| error.try_downcast_ref());
    answer.is_some_and(|answer: &PgDatabaseError| answer.code() == UNDEFINED_TABLE)
}

/// The error of a statement whose connection sees the tables in an earlier state: the decision to
/// execute it may rest on rows that are gone.
pub(crate) fn went_back() -> sqlx::Error {
    sqlx::Error::Protocol("the tables were reset to an earlier state; try again".to_owned())
}
