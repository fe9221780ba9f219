-- Refunds as they are shown.
CREATE TABLE payment_refund (
    id         uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    -- Where its first event stands in the log: unique, and newest is highest.
    position   bigint NOT NULL UNIQUE,
    -- The payment's revision at which it changed last.
    revision   bigint NOT NULL,
    status     text NOT NULL,
    document   text NOT NULL
);
CREATE INDEX payment_refund_payment ON payment_refund (payment_id, position);
