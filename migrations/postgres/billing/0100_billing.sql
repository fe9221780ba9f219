-- The billing module's read models.

-- Every invoice and credit note: columns for what is filtered and paged by, the whole
-- representation in `document`.
CREATE TABLE invoice_view (
    id            uuid PRIMARY KEY,
    -- Where the document began in the log: lists are in this order.
    position      bigint NOT NULL UNIQUE,
    -- The last revision of its stream that is shown here.
    revision      bigint NOT NULL,
    kind          text NOT NULL,
    status        text NOT NULL,
    -- Not unique: a legacy system may have used one that looks like ours. What makes our numbers
    -- unique is the series' stream.
    number        text NOT NULL,
    customer_id   uuid,
    owner         text NOT NULL,
    legacy_source text,
    legacy_id     text,
    document      text NOT NULL,
    -- How it is with the payment of an invoice that is open, to filter by.
    collection    text,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    issued_at timestamptz GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'issued_at')) STORED
);
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
    order_id   uuid NOT NULL,
    invoice_id uuid NOT NULL,
    PRIMARY KEY (order_id, invoice_id)
);
CREATE INDEX invoice_order_invoice ON invoice_order (invoice_id);

-- Whom documents are addressed to: as much of the customers module's events as the law wants on
-- an invoice. Personal; null when there is none and when it was erased.
CREATE TABLE known_customer (
    customer_id   uuid PRIMARY KEY,
    name          text,
    address_lines text, -- JSON array
    vat_number    text
);

-- Erased customers. The law has their documents kept as they are until some years after the day of
-- the last of them, null when there is none; then that has ended.
CREATE TABLE erased_customer (
    customer_id   uuid PRIMARY KEY,
    last_document text,
    ended         boolean NOT NULL
);
CREATE INDEX erased_customer_running ON erased_customer (customer_id) WHERE NOT ended;
