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
    document      TEXT NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    -- A date that is not of four digits counts as the first or the last of those that are.
    placed_at TEXT GENERATED ALWAYS AS (
        CASE substr(document ->> '$.placed_at', 1, 1)
            WHEN '+' THEN '9999-12-31T23:59:59+00:00'
            WHEN '-' THEN '0001-01-01T00:00:00+00:00'
            ELSE max(
                rtrim(document ->> '$.placed_at', 'Z') || '+00:00',
                '0001-01-01T00:00:00+00:00'
            )
        END
    ) VIRTUAL
) STRICT, WITHOUT ROWID;
CREATE INDEX order_view_customer ON order_view (customer_id, position);
CREATE INDEX order_view_legacy ON order_view (legacy_id) WHERE legacy_id IS NOT NULL;
CREATE INDEX order_view_placed ON order_view (placed_at, id);
CREATE INDEX order_view_customer_placed ON order_view (customer_id, placed_at, id);

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
