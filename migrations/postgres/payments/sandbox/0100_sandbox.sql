-- The sandbox provider's own books. It plays a service outside: what it has taken it remembers,
-- whatever becomes of our process.

-- Money asked for, once per idempotency key.
CREATE TABLE charge (
    idempotency_key uuid PRIMARY KEY,
    -- What it is for; unknown where a charge was cancelled before it arrived.
    payment_id      uuid,
    amount          text,
    currency        text,
    status          text NOT NULL
        CHECK (status IN ('received', 'pending', 'captured', 'declined', 'cancelled')),
    reason          text,
    -- How often it was asked for.
    attempts        bigint NOT NULL,
    captured_at     timestamptz
);

-- Money given back, in one refund of a charge or in several.
CREATE TABLE refund (
    idempotency_key uuid PRIMARY KEY,
    charge_key      uuid NOT NULL REFERENCES charge (idempotency_key),
    amount          text NOT NULL,
    refunded_at     timestamptz NOT NULL
);
CREATE INDEX refund_charge ON refund (charge_key);
