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
    failed_at    timestamptz,
    -- When the subscription began, or was last put somewhere else by a rebuild: a replica under which the log
    -- went back stops it until this is later than what it knew.
    reset_at     timestamptz NOT NULL DEFAULT 'epoch',
    -- Since when it is stopped for that reason, for every replica.
    stopped_at   timestamptz,
    -- Since when the oldest event of a policy has been waiting for its turn, as the replica that runs it
    -- says: the others admit nothing new while that is long.
    waiting_since timestamptz
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

-- The entries of a JSON array, as SQLite's table-valued function of this name gives them
-- (https://www.sqlite.org/json1.html#jeach), so that statements over many rows are the same text on
-- both engines. `atom` is the entry where it is a text, a number or a boolean; `value` is as JSON.
-- A plain SQL function: the planner puts its body in the place of the call.
CREATE FUNCTION json_each(entries text) RETURNS TABLE (value json, atom text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT entry, CASE WHEN json_typeof(entry) NOT IN ('array', 'object') THEN entry #>> '{}' END
        FROM json_array_elements(CAST(entries AS json)) AS entry
    $$;

-- The moment that the JSON of a read model's document says (RFC 3339 in UTC, as `2025-01-06T00:00:00Z`),
-- for columns that are generated from documents. Such a text is read in the same way whatever the session's
-- settings are: therefore IMMUTABLE, which the cast by itself is not. A date that is not of four digits
-- counts as the first or the last of those that are.
CREATE FUNCTION moment(said text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN said LIKE '+%' THEN TIMESTAMPTZ '9999-12-31 23:59:59+00'
            WHEN said LIKE '-%' OR said LIKE '0000%' THEN TIMESTAMPTZ '0001-01-01 00:00:00+00'
            ELSE CAST(said AS timestamptz)
        END
    $$;
