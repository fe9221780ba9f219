-- The orders module's read models.

-- Every order: columns for what is filtered and paged by, the whole representation in `document`.
CREATE TABLE order_view (
    id            BLOB PRIMARY KEY,
    -- Where the order began in the log: lists are in this order.
    position      INTEGER NOT NULL UNIQUE,
    -- The last revision of its stream that is shown here.
    revision      INTEGER NOT NULL,
    status        TEXT NOT NULL,
    customer_id   BLOB,
    currency      TEXT NOT NULL,
    owner         TEXT NOT NULL,
    legacy_source TEXT,
    legacy_id     TEXT,
    document      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX order_view_customer ON order_view (customer_id, position);
CREATE INDEX order_view_legacy ON order_view (legacy_id) WHERE legacy_id IS NOT NULL;

-- Who may order: as much of the customers module's events as an order depends on, and nothing
-- about the person.
CREATE TABLE known_customer (
    customer_id BLOB PRIMARY KEY,
    open        INTEGER NOT NULL CHECK (open IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Whose orders show nothing of what was said in them.
CREATE TABLE erased_customer (
    customer_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
