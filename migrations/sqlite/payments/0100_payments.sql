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
    document      TEXT NOT NULL
) STRICT;

CREATE INDEX payment_status ON payment (status, position);
CREATE INDEX payment_invoice ON payment (invoice_id, position);
CREATE INDEX payment_owner ON payment (owner, position);
CREATE INDEX payment_legacy_id ON payment (legacy_id, position);
CREATE INDEX payment_customer ON payment (customer_id);

-- Whose payments show nothing of what was said of them.
CREATE TABLE erased_customer (
    customer_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
