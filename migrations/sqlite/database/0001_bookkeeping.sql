-- Bookkeeping that every module's database has.

-- How far each subscription has come, in which log, and who may move it.
CREATE TABLE checkpoint (
    subscription TEXT PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('projection', 'policy', 'reactor', 'upkeep')),
    log_id       BLOB NOT NULL,
    position     INTEGER NOT NULL,
    event_id     BLOB,
    updated_at   TEXT NOT NULL,
    -- The event families that any replica ever wanted for it: a JSON array, in order.
    families     TEXT NOT NULL,
    -- The lease: whose it is, what fences its transactions, until when unless it is renewed.
    owner        TEXT,
    token        BLOB,
    expires_at   TEXT,
    -- Who runs it instead, on a database of its own, since the module was handed over.
    elsewhere    TEXT,
    last_error   TEXT,
    failed_at    TEXT,
    -- When the subscription began, or was last put somewhere else by a rebuild: a replica under which the log
    -- went back stops it until this is later than what it knew.
    reset_at     TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000+00:00',
    -- Since when it is stopped for that reason, for every replica.
    stopped_at   TEXT,
    -- Since when the oldest event of a policy has been waiting for its turn, as the replica that runs it
    -- says: the others admit nothing new while that is long.
    waiting_since TEXT
) STRICT, WITHOUT ROWID;

-- Events that a subscription could not handle, and those of the same key behind them.
CREATE TABLE parked_event (
    subscription     TEXT NOT NULL,
    position         INTEGER NOT NULL,
    event_id         BLOB NOT NULL,
    key              TEXT NOT NULL,
    error            TEXT NOT NULL,
    -- 0 for those that only wait behind another.
    attempts         INTEGER NOT NULL,
    parked_at        TEXT NOT NULL,
    replay_requested INTEGER NOT NULL CHECK (replay_requested IN (0, 1)),
    PRIMARY KEY (subscription, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_event_key ON parked_event (subscription, key, position);

-- Requests that carried an Idempotency-Key: enough to recognise a repetition, nothing of its body.
CREATE TABLE idempotency (
    key_hash    BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    status      INTEGER,
    resource_id BLOB,
    -- What the answer said of where the log has it, and the event there: a restored log has another.
    position    INTEGER,
    event_id    BLOB,
    created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Who is in charge of the module's policies and reactors: whoever runs on this database while there is
-- no row, or nobody named.
CREATE TABLE module_charge (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    -- Grows with every hand-over.
    epoch     INTEGER NOT NULL,
    -- Who is in charge instead, on a database of its own.
    elsewhere TEXT,
    -- Where requests to the module go instead of being answered here.
    route     TEXT
) STRICT;
