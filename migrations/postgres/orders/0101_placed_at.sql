-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
ALTER TABLE order_view ADD COLUMN placed_at timestamptz
    GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'placed_at')) STORED;
CREATE INDEX order_view_placed ON order_view (placed_at, id);
CREATE INDEX order_view_customer_placed ON order_view (customer_id, placed_at, id);
