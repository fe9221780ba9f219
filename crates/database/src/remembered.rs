//! What this process remembers of tables that may go back.
//!
//! What derives from the log is committed without waiting for the disk, and a standby may lag: after a
//! crash of the server, or a failover, rows and checkpoints are as they were before, while the process
//! goes on. A caller that relies on the position in memory would take a missing row for a row that does
//! not exist. Therefore every new connection compares the checkpoints that are known to be stored with
//! those in the database, before anything is read through it. Older connections end with the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::event::Position;
use sqlx::postgres::{PgConnection, PgDatabaseError};
use tokio::sync::watch;

use crate::{Engine, Statement};

crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    /// Checkpoints as a new connection finds them.
    const CHECKPOINTS: Statement = Statement::Same("SELECT subscription, position FROM checkpoint");
}

/// The tables were dropped: what is asked for next tells.
const UNDEFINED_TABLE: &str = "42P01";

/// What is remembered of the tables of one module.
#[derive(Debug)]
pub(crate) struct Remembered {
    subscriptions: Mutex<HashMap<String, Known>>,
    /// How often the tables went back.
    incarnation: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where its checkpoint was stored.
    stored: Position,
    /// How far its rows are believed to be, for those who wait for it.
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

    /// A subscription's checkpoint was stored there, or was found there.
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

    /// What is believed of a subscription is lowered when its rows turn out not to be as far.
    pub(crate) fn entrust(&self, subscription: &str, believed: watch::Sender<Position>) {
        self.lock().entry(subscription.to_owned()).or_default().believed = Some(believed);
    }

    /// Compares what is known with what a new connection finds.
    pub(crate) async fn compare(
        self: &Arc<Self>,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        // Before it is looked at: what is stored meanwhile is more, not less.
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
            // Another connection may have found it out meanwhile.
            let known = subscriptions.get_mut(subscription);
            let Some(known) = known.filter(|known| known.stored > position) else { continue };
            any = true;
            tracing::warn!(
                subscription,
                stored = known.stored,
                found = position,
                "the checkpoint is behind where it was stored: the database lost its last commits, or the subscription was rebuilt; what is missing is made again from the log"
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

/// How a statement fails whose connection turned out to see the tables as they were before: what was
/// known of them when it was decided on may be wrong.
pub(crate) fn went_back() -> sqlx::Error {
    sqlx::Error::Protocol("the tables went back to an earlier state; try again".to_owned())
}
