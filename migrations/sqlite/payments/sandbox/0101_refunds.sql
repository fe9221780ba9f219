-- Money given back, in one refund of a charge or in several. The table `refund` before it had room for
-- one of each charge; what is in it still counts.
CREATE TABLE refund_of_charge (
    idempotency_key BLOB PRIMARY KEY,
    charge_key      BLOB NOT NULL REFERENCES charge (idempotency_key),
    amount          TEXT NOT NULL,
    refunded_at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_of_charge_charge ON refund_of_charge (charge_key);
