-- Payments as they are shown: what is filtered and sorted by as columns, the rest as a document.
CREATE TABLE payment (
    id            BLOB PRIMARY KEY,
    -- Where its first event stands in the log: unique, and newest is highest.
    position      INTEGER NOT NULL UNIQUE,
    revision      INTEGER NOT NULL,
    status        TEXT NOT NULL,
    invoice_id    BLOB,
    -- Who is to pay, where the request says so.
    customer_id   BLOB,
    owner         TEXT NOT NULL,
    legacy_source TEXT,
    legacy_id     TEXT,
    document      TEXT NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    -- A date that is not of four digits counts as the first or the last of those that are.
    requested_at TEXT GENERATED ALWAYS AS (
        CASE substr(coalesce(document ->> '$.date', document ->> '$.requested_at'), 1, 1)
            WHEN '+' THEN '9999-12-31T23:59:59+00:00'
            WHEN '-' THEN '0001-01-01T00:00:00+00:00'
            ELSE max(
                coalesce(
                    (document ->> '$.date') || 'T00:00:00',
                    rtrim(document ->> '$.requested_at', 'Z')
                ) || '+00:00',
                '0001-01-01T00:00:00+00:00'
            )
        END
    ) VIRTUAL
) STRICT;

CREATE INDEX payment_status ON payment (status, position);
CREATE INDEX payment_invoice ON payment (invoice_id, position);
CREATE INDEX payment_owner ON payment (owner, position);
CREATE INDEX payment_legacy_id ON payment (legacy_id, position);
CREATE INDEX payment_customer ON payment (customer_id);
CREATE INDEX payment_requested ON payment (requested_at, id);
CREATE INDEX payment_status_requested ON payment (status, requested_at, id);
CREATE INDEX payment_owner_requested ON payment (owner, requested_at, id);

-- Whose payments show nothing of what was said of them.
CREATE TABLE erased_customer (
    customer_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Refunds as they are shown.
CREATE TABLE payment_refund (
    id         BLOB PRIMARY KEY,
    payment_id BLOB NOT NULL,
    -- Where its first event stands in the log: unique, and newest is highest.
    position   INTEGER NOT NULL UNIQUE,
    -- The payment's revision at which it changed last.
    revision   INTEGER NOT NULL,
    status     TEXT NOT NULL,
    document   TEXT NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    -- A date that is not of four digits counts as the first or the last of those that are.
    requested_at TEXT GENERATED ALWAYS AS (
        CASE substr(document ->> '$.requested_at', 1, 1)
            WHEN '+' THEN '9999-12-31T23:59:59+00:00'
            WHEN '-' THEN '0001-01-01T00:00:00+00:00'
            ELSE max(
                rtrim(document ->> '$.requested_at', 'Z') || '+00:00',
                '0001-01-01T00:00:00+00:00'
            )
        END
    ) VIRTUAL
) STRICT;
CREATE INDEX payment_refund_payment ON payment_refund (payment_id, position);
CREATE INDEX payment_refund_status ON payment_refund (status, position);
CREATE INDEX payment_refund_requested ON payment_refund (requested_at, id);
CREATE INDEX payment_refund_status_requested ON payment_refund (status, requested_at, id);
