-- Bookkeeping that every module's schema has.

-- How far each subscription has come, in which log.
CREATE TABLE checkpoint (
    subscription text PRIMARY KEY,
    log_id       uuid NOT NULL,
    position     bigint NOT NULL,
    event_id     uuid,
    updated_at   timestamptz NOT NULL
);

-- Events that a subscription could not handle, and those of the same key behind them.
CREATE TABLE parked_event (
    subscription text NOT NULL,
    position     bigint NOT NULL,
    event_id     uuid NOT NULL,
    key          text NOT NULL,
    error        text NOT NULL,
    attempts     bigint NOT NULL,
    parked_at    timestamptz NOT NULL,
    PRIMARY KEY (subscription, position)
);

-- Requests that carried an Idempotency-Key: enough to recognise a repetition, nothing of its body.
CREATE TABLE idempotency (
    key_hash    bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    status      bigint,
    resource_id uuid,
    created_at  timestamptz NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);
