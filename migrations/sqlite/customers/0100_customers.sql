-- Every customer as it stands now, registered here or imported.
CREATE TABLE customer (
    id            BLOB PRIMARY KEY,
    -- Of its first event: the order of lists, and what their cursors point at.
    position      INTEGER NOT NULL UNIQUE,
    revision      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    status        TEXT NOT NULL,
    closed_reason TEXT,
    number        TEXT,
    -- Personal; null when there is none and when it was erased.
    name          TEXT,
    email         TEXT,
    phone         TEXT,
    address       TEXT, -- JSON
    vat_number    TEXT,
    -- Keyed digest of the normalised e-mail address.
    email_key     BLOB,
    owner         TEXT NOT NULL,
    legacy_source TEXT,
    legacy_id     TEXT,
    flags         TEXT NOT NULL, -- JSON
    registered_at TEXT NOT NULL
) STRICT;
CREATE INDEX customer_email ON customer (email_key, position);
CREATE INDEX customer_legacy ON customer (legacy_id, position);
-- Lists are sorted and filtered by it.
CREATE INDEX customer_registered ON customer (registered_at, id);
