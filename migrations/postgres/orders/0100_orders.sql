-- The orders module's read models.

-- Every order: columns for what is filtered and paged by, the whole representation in `document`.
CREATE TABLE order_view (
    id            uuid PRIMARY KEY,
    -- Where the order began in the log: lists are in this order.
    position      bigint NOT NULL UNIQUE,
    -- The last revision of its stream that is shown here.
    revision      bigint NOT NULL,
    status        text NOT NULL,
    customer_id   uuid,
    currency      text NOT NULL,
    owner         text NOT NULL,
    legacy_source text,
    legacy_id     text,
    document      text NOT NULL,
    -- The date that lists are sorted and filtered by, as the document says it: generated, so that it always
    -- agrees with the document.
    placed_at timestamptz GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'placed_at')) STORED
);
CREATE INDEX order_view_customer ON order_view (customer_id, position);
CREATE INDEX order_view_legacy ON order_view (legacy_id) WHERE legacy_id IS NOT NULL;
CREATE INDEX order_view_placed ON order_view (placed_at, id);
CREATE INDEX order_view_customer_placed ON order_view (customer_id, placed_at, id);

-- Who may order: as much of the customers module's events as an order depends on, and nothing
-- about the person.
CREATE TABLE known_customer (
    customer_id uuid PRIMARY KEY,
    open        boolean NOT NULL
);

-- Whose orders show nothing of what was said in them.
CREATE TABLE erased_customer (
    customer_id uuid PRIMARY KEY
);
