-- Bookkeeping that every module's database has.

-- How far each subscription has come, in which log.
CREATE TABLE checkpoint (
    subscription TEXT PRIMARY KEY,
    log_id       BLOB NOT NULL,
    position     INTEGER NOT NULL,
    event_id     BLOB,
    updated_at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that a subscription could not handle, and those of the same key behind them.
CREATE TABLE parked_event (
    subscription TEXT NOT NULL,
    position     INTEGER NOT NULL,
    event_id     BLOB NOT NULL,
    key          TEXT NOT NULL,
    error        TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    parked_at    TEXT NOT NULL,
    PRIMARY KEY (subscription, position)
) STRICT, WITHOUT ROWID;

-- Requests that carried an Idempotency-Key: enough to recognise a repetition, nothing of its body.
CREATE TABLE idempotency (
    key_hash    BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    status      INTEGER,
    resource_id BLOB,
    created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);
