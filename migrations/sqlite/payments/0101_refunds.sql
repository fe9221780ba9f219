-- Refunds as they are shown.
CREATE TABLE payment_refund (
    id         BLOB PRIMARY KEY,
    payment_id BLOB NOT NULL,
    -- Where its first event stands in the log: unique, and newest is highest.
    position   INTEGER NOT NULL UNIQUE,
    -- The payment's revision at which it changed last.
    revision   INTEGER NOT NULL,
    status     TEXT NOT NULL,
    document   TEXT NOT NULL
) STRICT;
CREATE INDEX payment_refund_payment ON payment_refund (payment_id, position);
