//! The statements over checkpoints, leases and parked events.

use crate::Statement;

/// A statement in whose text `now`, and `now + $n` seconds, stand for the clock that decides when a
/// lease expires: the server's on PostgreSQL, so that the clocks of replicas need not agree, and the
/// machine's on SQLite, where all replicas run.
macro_rules! timed {
    (@sqlite now) => { "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')" };
    (@sqlite (now + $seconds:literal)) => {
        concat!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', ", $seconds, " || ' seconds')")
    };
    // Not the time at which the transaction began: it may have waited for a lock since.
    (@postgres now) => { "clock_timestamp()" };
    (@postgres (now + $seconds:literal)) => {
        concat!("clock_timestamp() + CAST(", $seconds, " AS float8) * interval '1 second'")
    };
    (@$engine:ident $text:literal) => { $text };
    ($($part:tt)*) => {
        Statement::PerEngine {
            sqlite: concat!($(timed!(@sqlite $part)),*),
            postgres: concat!($(timed!(@postgres $part)),*),
        }
    };
}

macro_rules! status {
    ($($which:literal)?) => {
        timed!(
            "SELECT subscription, kind, log_id, position, event_id, updated_at, families, owner, \
             token, expires_at, elsewhere, \
             (expires_at <= " now " OR expires_at > " (now + "600") ") AS expired, last_error, failed_at, \
             reset_at, stopped_at IS NOT NULL AS stopped, waiting_since, \
             (SELECT count(*) FROM parked_event \
             WHERE parked_event.subscription = checkpoint.subscription) AS parked \
             FROM checkpoint " $($which)?
        )
    };
}

crate::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [Statement];

    pub(super) const REGISTERED: Statement = Statement::Same(
        "SELECT log_id, position, event_id, families FROM checkpoint WHERE subscription = $1",
    );
    pub(super) const REGISTER: Statement = timed!(
        "INSERT INTO checkpoint \
         (subscription, kind, log_id, position, updated_at, reset_at, families, elsewhere) \
         VALUES ($1, $2, $3, 0, " now ", " now ", '[]', \
         CASE WHEN $2 IN ('policy', 'reactor') THEN (SELECT elsewhere FROM module_charge) END) \
         ON CONFLICT (subscription) DO NOTHING"
    );
    /// Locks the row until the transaction ends. On SQLite the transaction locks the whole database.
    pub(super) const LOCK: Statement = Statement::PerEngine {
        sqlite: "SELECT families FROM checkpoint WHERE subscription = $1",
        postgres: "SELECT families FROM checkpoint WHERE subscription = $1 FOR UPDATE",
    };
    /// A held lease keeps its owner and gets a new token.
    pub(super) const WIDEN: Statement = Statement::Same(
        "UPDATE checkpoint SET families = $2, \
         token = CASE WHEN token IS NULL THEN token ELSE $3 END WHERE subscription = $1",
    );
    pub(super) const TAKE_LOG: Statement =
        Statement::Same("UPDATE checkpoint SET log_id = $2 WHERE subscription = $1 AND position = 0");

    /// No lease lasts longer than ten minutes ([`kernel::lease::LONGEST`]): one that ends later was
    /// taken before the clock was set back, and could otherwise be held for very long by this clock.
    ///
    /// A row is skipped while a transaction of its holder is open: the holder keeps the lease until the
    /// transaction ends, whatever the clock says.
    pub(super) const ACQUIRE: Statement = Statement::PerEngine {
        sqlite: "UPDATE checkpoint SET owner = $2, token = $3, \
                 expires_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', $4 || ' seconds') \
                 WHERE subscription = $1 AND elsewhere IS NULL AND stopped_at IS NULL \
                 AND (owner IS NULL OR owner = $2 OR expires_at <= strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') \
                 OR expires_at > strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '600 seconds')) \
                 RETURNING log_id, position, event_id, families",
        postgres: "UPDATE checkpoint SET owner = $2, token = $3, \
                   expires_at = clock_timestamp() + CAST($4 AS float8) * interval '1 second' \
                   WHERE subscription = (SELECT subscription FROM checkpoint \
                   WHERE subscription = $1 AND elsewhere IS NULL AND stopped_at IS NULL \
                   AND (owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp() \
                   OR expires_at > clock_timestamp() + interval '600 seconds') FOR UPDATE SKIP LOCKED) \
                   RETURNING log_id, position, event_id, families",
    };
    /// Waits for an open transaction of the holder.
    pub(super) const SEIZE: Statement = timed!(
        "UPDATE checkpoint SET owner = $2, token = $3, expires_at = " (now + "$4") " \
         WHERE subscription = $1 RETURNING log_id, position, event_id, families"
    );
    pub(super) const RENEW: Statement = timed!(
        "UPDATE checkpoint SET expires_at = " (now + "$3") " WHERE subscription = $1 AND token = $2"
    );
    pub(super) const TELL_WAITING: Statement = Statement::Same(
        "UPDATE checkpoint SET waiting_since = $3 WHERE subscription = $1 AND token = $2",
    );
    pub(super) const RELEASE: Statement = Statement::Same(
        "UPDATE checkpoint SET owner = NULL, token = NULL, expires_at = NULL \
         WHERE subscription = $1 AND token = $2",
    );
    pub(super) const RELEASE_ALL: Statement = Statement::Same(
        "UPDATE checkpoint SET owner = NULL, token = NULL, expires_at = NULL \
         WHERE owner IS NOT NULL",
    );
    pub(super) const FENCE: Statement = timed!(
        "UPDATE checkpoint SET position = $4, event_id = $5, updated_at = " now ", \
         expires_at = " (now + "$6") " \
         WHERE subscription = $1 AND token = $2 AND position = $3 AND log_id = $7"
    );
    pub(super) const HOLDER: Statement =
        Statement::Same("SELECT token, owner, position FROM checkpoint WHERE subscription = $1");

    pub(super) const STATUS: Statement = status!("WHERE subscription = $1");
    pub(super) const STATUSES: Statement = status!("ORDER BY subscription");
    pub(super) const CHECKPOINT: Statement =
        Statement::Same("SELECT log_id, position, event_id FROM checkpoint WHERE subscription = $1");
    pub(super) const RECORD_ERROR: Statement = timed!(
        "UPDATE checkpoint SET last_error = $2, failed_at = " now " WHERE subscription = $1"
    );
    pub(super) const RESET: Statement = timed!(
        "UPDATE checkpoint SET log_id = $2, position = $3, event_id = $4, updated_at = " now ", \
         reset_at = " now ", stopped_at = NULL, \
         owner = NULL, token = NULL, expires_at = NULL, last_error = NULL, failed_at = NULL \
         WHERE subscription = $1"
    );
    pub(super) const STOP: Statement = timed!(
        "UPDATE checkpoint SET stopped_at = " now ", owner = NULL, token = NULL, expires_at = NULL \
         WHERE subscription = $1 AND reset_at <= $2 AND stopped_at IS NULL AND elsewhere IS NULL"
    );
    pub(super) const FORGET: Statement =
        Statement::Same("DELETE FROM checkpoint WHERE subscription = $1");

    pub(super) const PARK: Statement = Statement::Same(
        "INSERT INTO parked_event \
         (subscription, position, event_id, key, error, attempts, parked_at, replay_requested) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (subscription, position) DO NOTHING",
    );
    /// A derived transaction that parks an event waits for the disk after all: the error text is stored
    /// nowhere else.
    pub(super) const DURABLE: Statement = Statement::PerEngine {
        sqlite: "SELECT 'on'",
        postgres: "SELECT set_config('synchronous_commit', 'on', TRUE)",
    };
    pub(super) const PARK_AGAIN: Statement = Statement::Same(
        "UPDATE parked_event SET replay_requested = FALSE, \
         error = CASE WHEN position = $3 THEN $4 ELSE error END, \
         attempts = CASE WHEN position = $3 THEN $5 ELSE attempts END \
         WHERE subscription = $1 AND key = $2 AND (position = $3 OR replay_requested)",
    );
    pub(super) const UNPARK: Statement =
        Statement::Same("DELETE FROM parked_event WHERE subscription = $1 AND position = $2");
    pub(crate) const UNPARK_ALL: Statement =
        Statement::Same("DELETE FROM parked_event WHERE subscription = $1");
    pub(super) const PARKED_KEYS: Statement =
        Statement::Same("SELECT DISTINCT key FROM parked_event WHERE subscription = $1");
    pub(crate) const PARKED: Statement = Statement::Same(
        "SELECT position, event_id, key, error, attempts, parked_at, replay_requested \
         FROM parked_event WHERE subscription = $1 AND position > $2 ORDER BY position LIMIT $3",
    );
    pub(super) const PARKED_OF_KEY: Statement = Statement::Same(
        "SELECT position, event_id, key, error, attempts, parked_at, replay_requested \
         FROM parked_event WHERE subscription = $1 AND position > $2 AND key = $4 \
         ORDER BY position LIMIT $3",
    );
    /// Keys with an event whose replay was requested, and keys whose first event never failed: the
    /// events before it, for which it waited, are gone.
    pub(super) const KEYS_TO_REPLAY: Statement = Statement::Same(
        "SELECT parked_event.key FROM (SELECT min(position) AS position, \
         max(CASE WHEN replay_requested THEN 1 ELSE 0 END) AS requested \
         FROM parked_event WHERE subscription = $1 GROUP BY key) AS first \
         JOIN parked_event ON parked_event.subscription = $1 \
         AND parked_event.position = first.position \
         WHERE first.requested = 1 OR parked_event.attempts = 0 ORDER BY parked_event.position",
    );
    pub(super) const REQUEST_REPLAY: Statement = Statement::Same(
        "UPDATE parked_event SET replay_requested = TRUE WHERE subscription = $1 AND position = $2",
    );

    /// The stored answers to requests with an `Idempotency-Key`.
    pub(crate) const FORGET_ANSWERS: Statement = Statement::Same("DELETE FROM idempotency");
}
