-- The billing module's read models.

-- Every invoice and credit note: columns for what is filtered and paged by, the whole
-- representation in `document`.
CREATE TABLE invoice_view (
    id            BLOB PRIMARY KEY,
    -- Where the document began in the log: lists are in this order.
    position      INTEGER NOT NULL UNIQUE,
    -- The last revision of its stream that is shown here.
    revision      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    status        TEXT NOT NULL,
    -- Not unique: a legacy system may have used one that looks like ours. What makes our numbers
    -- unique is the series' stream.
    number        TEXT NOT NULL,
    customer_id   BLOB,
    owner         TEXT NOT NULL,
    legacy_source TEXT,
    legacy_id     TEXT,
    document      TEXT NOT NULL,
    -- How it is with the payment of an invoice that is open, to filter by.
    collection    TEXT,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    -- A date that is not of four digits counts as the first or the last of those that are.
    issued_at TEXT GENERATED ALWAYS AS (
        CASE substr(document ->> '$.issued_at', 1, 1)
            WHEN '+' THEN '9999-12-31T23:59:59+00:00'
            WHEN '-' THEN '0001-01-01T00:00:00+00:00'
            ELSE max(
                rtrim(document ->> '$.issued_at', 'Z') || '+00:00',
                '0001-01-01T00:00:00+00:00'
            )
        END
    ) VIRTUAL
) STRICT, WITHOUT ROWID;
CREATE INDEX invoice_view_customer ON invoice_view (customer_id, position);
CREATE INDEX invoice_view_number ON invoice_view (number, position);
CREATE INDEX invoice_view_legacy ON invoice_view (legacy_id, position);
CREATE INDEX invoice_view_collection ON invoice_view (collection, position)
    WHERE collection IS NOT NULL;
CREATE INDEX invoice_view_issued ON invoice_view (issued_at, id);
CREATE INDEX invoice_view_customer_issued ON invoice_view (customer_id, issued_at, id);
CREATE INDEX invoice_view_collection_issued ON invoice_view (collection, issued_at, id)
    WHERE collection IS NOT NULL;

-- Which orders a document is for. Imported documents may be for several, or for none.
CREATE TABLE invoice_order (
    order_id   BLOB NOT NULL,
    invoice_id BLOB NOT NULL,
    PRIMARY KEY (order_id, invoice_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invoice_order_invoice ON invoice_order (invoice_id);

-- Whom documents are addressed to: as much of the customers module's events as the law wants on
-- an invoice. Personal; null when there is none and when it was erased.
CREATE TABLE known_customer (
    customer_id   BLOB PRIMARY KEY,
    name          TEXT,
    address_lines TEXT, -- JSON array
    vat_number    TEXT
) STRICT, WITHOUT ROWID;

-- Erased customers. The law has their documents kept as they are until some years after the day of
-- the last of them, null when there is none; then that has ended.
CREATE TABLE erased_customer (
    customer_id   BLOB PRIMARY KEY,
    last_document TEXT,
    ended         INTEGER NOT NULL CHECK (ended IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX erased_customer_running ON erased_customer (customer_id) WHERE NOT ended;
