-- Bookkeeping that every module's schema has.

-- How far each subscription has come, in which log, and who may move it.
CREATE TABLE checkpoint (
    subscription text PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('projection', 'policy', 'reactor', 'upkeep')),
    log_id       uuid NOT NULL,
    position     bigint NOT NULL,
    event_id     uuid,
    updated_at   timestamptz NOT NULL,
    -- The event families that any replica ever wanted for it: a JSON array, in order.
    families     text NOT NULL,
    -- The lease: whose it is, what fences its transactions, until when unless it is renewed.
    owner        text,
    token        uuid,
    expires_at   timestamptz,
    -- Who runs it instead, on a database of its own, since the module was handed over.
    elsewhere    text,
    last_error   text,
    failed_at    timestamptz
);

-- Events that a subscription could not handle, and those of the same key behind them.
CREATE TABLE parked_event (
    subscription     text NOT NULL,
    position         bigint NOT NULL,
    event_id         uuid NOT NULL,
    key              text NOT NULL,
    error            text NOT NULL,
    -- 0 for those that only wait behind another.
    attempts         bigint NOT NULL,
    parked_at        timestamptz NOT NULL,
    replay_requested boolean NOT NULL,
    PRIMARY KEY (subscription, position)
);
CREATE INDEX parked_event_key ON parked_event (subscription, key, position);

-- Requests that carried an Idempotency-Key: enough to recognise a repetition, nothing of its body.
CREATE TABLE idempotency (
    key_hash    bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    status      bigint,
    resource_id uuid,
    -- What the answer said of where the log has it, and the event there: a restored log has another.
    position    bigint,
    event_id    uuid,
    created_at  timestamptz NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Who is in charge of the module's policies and reactors: whoever runs on this database while there is
-- no row, or nobody named.
CREATE TABLE module_charge (
    one       integer PRIMARY KEY CHECK (one = 1),
    -- Grows with every hand-over.
    epoch     bigint NOT NULL,
    -- Who is in charge instead, on a database of its own.
    elsewhere text,
    -- Where requests to the module go instead of being answered here.
    route     text
);
