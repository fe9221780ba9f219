-- Payments as they are shown: what is filtered and sorted by as columns, the rest as a document.
CREATE TABLE payment (
    id            uuid PRIMARY KEY,
    -- Where its first event stands in the log: unique, and newest is highest.
    position      bigint NOT NULL UNIQUE,
    revision      bigint NOT NULL,
    status        text NOT NULL,
    invoice_id    uuid,
    -- Who is to pay, where the request says so.
    customer_id   uuid,
    owner         text NOT NULL,
    legacy_source text,
    legacy_id     text,
    document      text NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    requested_at timestamptz GENERATED ALWAYS AS (moment(coalesce(
        (CAST(document AS jsonb) ->> 'date') || 'T00:00:00Z',
        CAST(document AS jsonb) ->> 'requested_at'
    ))) STORED
);

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
    customer_id uuid PRIMARY KEY
);

-- Refunds as they are shown.
CREATE TABLE payment_refund (
    id         uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    -- Where its first event stands in the log: unique, and newest is highest.
    position   bigint NOT NULL UNIQUE,
    -- The payment's revision at which it changed last.
    revision   bigint NOT NULL,
    status     text NOT NULL,
    document   text NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    requested_at timestamptz GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'requested_at')) STORED
);
CREATE INDEX payment_refund_payment ON payment_refund (payment_id, position);
CREATE INDEX payment_refund_status ON payment_refund (status, position);
CREATE INDEX payment_refund_requested ON payment_refund (requested_at, id);
CREATE INDEX payment_refund_status_requested ON payment_refund (status, requested_at, id);
