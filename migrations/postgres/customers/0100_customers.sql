-- Every customer as it stands now, registered here or imported.
CREATE TABLE customer (
    id            uuid PRIMARY KEY,
    -- Of its first event: the order of lists, and what their cursors point at.
    position      bigint NOT NULL UNIQUE,
    revision      bigint NOT NULL,
    kind          text NOT NULL,
    status        text NOT NULL,
    closed_reason text,
    number        text,
    -- Personal; null when there is none and when it was erased.
    name          text,
    email         text,
    phone         text,
    address       text, -- JSON
    vat_number    text,
    -- Keyed digest of the normalised e-mail address.
    email_key     bytea,
    owner         text NOT NULL,
    legacy_source text,
    legacy_id     text,
    flags         text NOT NULL, -- JSON
    registered_at timestamptz NOT NULL
);
CREATE INDEX customer_email ON customer (email_key, position);
CREATE INDEX customer_legacy ON customer (legacy_id, position);
-- Lists are sorted and filtered by it.
CREATE INDEX customer_registered ON customer (registered_at, id);
