-- The sandbox provider's own books. It plays a service outside: what it has taken it remembers,
-- whatever becomes of our process.

-- Money asked for, once per idempotency key.
CREATE TABLE charge (
    idempotency_key BLOB PRIMARY KEY,
    -- What it is for; unknown where a charge was cancelled before it arrived.
    payment_id      BLOB,
    amount          TEXT,
    currency        TEXT,
    status          TEXT NOT NULL
        CHECK (status IN ('received', 'pending', 'captured', 'declined', 'cancelled')),
    reason          TEXT,
    -- How often it was asked for.
    attempts        INTEGER NOT NULL,
    captured_at     TEXT
) STRICT, WITHOUT ROWID;

-- Money given back, in one refund of a charge or in several.
CREATE TABLE refund (
    idempotency_key BLOB PRIMARY KEY,
    charge_key      BLOB NOT NULL REFERENCES charge (idempotency_key),
    amount          TEXT NOT NULL,
    refunded_at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_charge ON refund (charge_key);
