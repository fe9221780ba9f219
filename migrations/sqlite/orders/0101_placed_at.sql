-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
-- A date that is not of four digits counts as the first or the last of those that are.
ALTER TABLE order_view ADD COLUMN placed_at TEXT GENERATED ALWAYS AS (
    CASE substr(document ->> '$.placed_at', 1, 1)
        WHEN '+' THEN '9999-12-31T23:59:59+00:00'
        WHEN '-' THEN '0001-01-01T00:00:00+00:00'
        ELSE max(
            rtrim(document ->> '$.placed_at', 'Z') || '+00:00',
            '0001-01-01T00:00:00+00:00'
        )
    END
) VIRTUAL;
CREATE INDEX order_view_placed ON order_view (placed_at, id);
CREATE INDEX order_view_customer_placed ON order_view (customer_id, placed_at, id);
